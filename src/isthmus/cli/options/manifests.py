"""The flags that say where manifests come from: a directory or the Kubernetes API.

Used by `isthmus run`.
"""

from pathlib import Path

from isthmus.cli.common.errors import CommandError
from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.daemon.controller_source import ManifestSource
from isthmus.kube.client import Client
from isthmus.kube.credentials import CredentialsError, KubeCredentials
from isthmus.kube.source import KubernetesSource
from isthmus.manifests.directory import DirectorySource
from isthmus.model.problems import Subject


def manifest_source(
    manifests: Path | None,
    kubernetes: bool,
    kubeconfig: Path | None,
    context: str,
    config_map: ObjectKey,
) -> tuple[ManifestSource, Client | None]:
    """The source of manifests, and the client of the API server if that is the source.

    Args:
        manifests: the directory; None for the API.
        kubernetes: whether --kubernetes is given.
        kubeconfig, context: see `KubeCredentials`.
        config_map: the ConfigMap that holds the configuration.

    Raises:
        CommandError: the options contradict each other, or there are no valid credentials.
    """
    if not kubernetes:
        if manifests is None:
            raise _contradiction("", "", "needs --manifests or --kubernetes")
        for option, value in (("--kubeconfig", kubeconfig), ("--context", context)):
            if value:
                raise _contradiction(option, value, "has no effect without --kubernetes")
        return DirectorySource(manifests), None
    if manifests is not None:
        raise _contradiction("--manifests", manifests, "cannot be combined with --kubernetes")
    try:
        client = Client(KubeCredentials(kubeconfig, context))
    except CredentialsError as error:
        raise CommandError(error.problem) from error
    return KubernetesSource(client, config_map), client


def _contradiction(option: str, value: Path | str, message: str) -> CommandError:
    remedy = "give either --manifests with a directory, or --kubernetes"
    return CommandError(Subject("command run", option, str(value)).problem(message, remedy))

"""The flags that say where manifests come from: a directory or the Kubernetes API.

Used by `isthmus run`.
"""

from dataclasses import dataclass
from pathlib import Path

from isthmus.cli.common.errors import CommandError
from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.daemon.controller_source import ManifestSource
from isthmus.kube.client import Client
from isthmus.kube.credentials import CredentialsError, KubeCredentials
from isthmus.kube.source import KubernetesSource
from isthmus.manifests.directory import DirectorySource
from isthmus.model.problems import Subject


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of manifests, as given on the command line.

    Args:
        manifests: the directory; None for the API.
        kubernetes: whether --kubernetes is given.
        kubeconfig, context: see `KubeCredentials`.
    """

    manifests: Path | None
    kubernetes: bool
    kubeconfig: Path | None
    context: str

    def client(self) -> Client | None:
        """A client of the API server; None if manifests come from a directory.

        Raises:
            CommandError: the options contradict each other, or there are no valid credentials.
        """
        self._check()
        if not self.kubernetes:
            return None
        try:
            return Client(KubeCredentials(self.kubeconfig, self.context))
        except CredentialsError as error:
            raise CommandError(error.problem) from error

    def source(self, client: Client | None, config_map: ObjectKey) -> ManifestSource:
        """The source of manifests.

        Args:
            client: the result of `client`; closed with the source.
            config_map: the ConfigMap that holds the configuration.
        """
        if client is not None:
            return KubernetesSource(client, config_map)
        assert self.manifests is not None  # noqa: S101 - `client` has checked it
        return DirectorySource(self.manifests)

    def _check(self) -> None:
        if self.kubernetes and self.manifests is not None:
            raise _contradiction(
                "--manifests", str(self.manifests), "cannot be combined with --kubernetes"
            )
        if not self.kubernetes and self.manifests is None:
            raise _contradiction("", "", "needs --manifests or --kubernetes")
        given = {"--kubeconfig": str(self.kubeconfig or ""), "--context": self.context}
        for option, value in given.items():
            if value and not self.kubernetes:
                raise _contradiction(option, value, "has no effect without --kubernetes")


def _contradiction(option: str, value: str, message: str) -> CommandError:
    remedy = "give either --manifests with a directory, or --kubernetes"
    return CommandError(Subject("command run", option, value).problem(message, remedy))

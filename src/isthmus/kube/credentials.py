"""Where the API server is and who we are there: a kubeconfig, or a pod's ServiceAccount.

Used by the client, at its start and again when the server no longer accepts what it was given.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class CredentialsError(Exception):
    """There are no credentials that can be used; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the operator gives on the command line.

    Without either, the order is: `KUBECONFIG`, the pod's ServiceAccount, `~/.kube/config`.

    Args:
        kubeconfig: the file; None to look in the other places.
        context: the context of the kubeconfig; empty for its current one.
    """

    kubeconfig: Path | None = None
    context: str = ""

    @property
    def in_cluster(self) -> bool:
        """Whether the pod's ServiceAccount is what counts."""
        given = self.kubeconfig or self.context or os.environ.get("KUBECONFIG")
        return not given and _IN_CLUSTER in os.environ

    def load(self) -> Any:
        """Read them.

        Returns:
            A `Configuration` of the kubernetes package.

        Raises:
            CredentialsError: they are missing or broken.
        """
        # A third of a second and 20 MiB that only those pay who talk to Kubernetes.
        from kubernetes.client import Configuration  # noqa: PLC0415
        from kubernetes.config import load_incluster_config, load_kube_config  # noqa: PLC0415

        configuration = Configuration()
        try:
            if self.in_cluster:
                load_incluster_config(client_configuration=configuration)
            else:
                load_kube_config(
                    self._existing(),
                    context=self.context or None,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except CredentialsError:
            raise
        # A kubeconfig is somebody's YAML, read by code that trusts it: anything may be raised.
        except Exception as error:
            raise CredentialsError(self._problem(_text(error))) from error
        if not configuration.host.startswith(("https://", "http://")):
            raise CredentialsError(self._problem(f"{configuration.host!r} is no URL of a server"))
        return configuration

    def _existing(self) -> str:
        """The kubeconfigs, joined by colons; one that is there at least."""
        given = str(self.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
        files = [Path(name).expanduser() for name in given.split(os.pathsep) if name]
        if not any(file.is_file() for file in files):
            raise CredentialsError(self._problem(f"there is no file {given}"))
        return os.pathsep.join(map(str, files))

    def _problem(self, message: str) -> Problem:
        if self.in_cluster:
            return Subject("ServiceAccount of this pod").problem(
                f"cannot be used: {message}",
                "have its token mounted (automountServiceAccountToken), or give --kubeconfig",
                Reason.CREDENTIALS,
            )
        return Subject("kubeconfig", "context" if self.context else "", self.context).problem(
            f"cannot be used: {message}",
            "name a good one with --kubeconfig, --context or KUBECONFIG",
            Reason.CREDENTIALS,
        )


def _text(error: Exception) -> str:
    """One line of what an exception says."""
    return " ".join(str(error).split()) or type(error).__name__

"""Where the API server is and how to log in to it: a kubeconfig, or a pod's ServiceAccount.

Used by the client, at its start, when credentials expire, and when the server no longer accepts
them.
"""

import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from isthmus.files import read_file
from isthmus.kube.kubeconfig import Section, existing_files, select
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.text import failure_text, quoted

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's token and the certificate of the cluster's CA."""

TOKEN_FILE_LIFETIME = 60.0
"""Seconds after which a token file is read again, as client-go does: kubelet replaces it."""

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"

_UNSUPPORTED = {"exec", "auth-provider"}
"""Ways to log in that need programs of a cloud."""


class CredentialsError(Exception):
    """There are no usable credentials; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Access:
    """All that is needed to talk to an API server.

    Args:
        server: its URL.
        tls: trust and client certificate.
        headers: what authenticates each request.
        proxy: the URL of the HTTP proxy in between; empty if there is none.
        server_name: the name that the server's certificate must have; empty for that in the URL.
        expires: when to load it again: monotonic seconds, or inf.
    """

    server: str
    tls: ssl.SSLContext
    headers: Mapping[str, str]
    proxy: str
    server_name: str
    expires: float


@dataclass(frozen=True, slots=True)
class KubeCredentials:
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
        """Whether the pod's ServiceAccount is used."""
        given = self.kubeconfig or self.context or os.environ.get("KUBECONFIG")
        return not given and _IN_CLUSTER in os.environ

    def load(self) -> Access:
        """Read the credentials.

        Raises:
            CredentialsError: they are missing or invalid.
        """
        try:
            if self.in_cluster:
                return _access(*_service_account())
            paths = str(self.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
            return _access(*select(existing_files(paths), self.context))
        # Errors of ssl are OSErrors, those of base64, JSON and encodings are ValueErrors.
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CredentialsError(self._problem(_reason(error))) from error

    def _problem(self, message: str) -> Problem:
        if self.in_cluster:
            return Subject("ServiceAccount of this pod").problem(
                f"cannot be used: {message}",
                "mount its token (automountServiceAccountToken), or set --kubeconfig",
                Reason.CREDENTIALS,
            )
        return Subject("kubeconfig", "context" if self.context else "", self.context).problem(
            f"cannot be used: {message}",
            "set --kubeconfig, --context or KUBECONFIG to a valid one",
            Reason.CREDENTIALS,
        )


def _service_account() -> tuple[Section, Section]:
    """The credentials of a pod, in the form of a kubeconfig's."""
    host = os.environ[_IN_CLUSTER]
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    cluster = {"server": server, "certificate-authority": "ca.crt"}
    return Section(cluster, SERVICE_ACCOUNT), Section({"tokenFile": "token"}, SERVICE_ACCOUNT)


def _access(cluster: Section, user: Section) -> Access:
    server = cluster.text("server").rstrip("/")
    url = urlsplit(server)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{quoted(server)} is not a valid URL of an API server")
    for key in sorted(user.values.keys() & _UNSUPPORTED):
        raise ValueError(f"{key} is not supported; use a token, a tokenFile or a certificate")
    environment = {} if proxy_bypass(url.hostname) else getproxies()
    proxy = cluster.text("proxy-url") or environment.get(url.scheme, "")
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise ValueError(f"{quoted(proxy)} is not the URL of an HTTP proxy")
    return Access(
        server,
        _tls(cluster, user),
        _authorization(user),
        proxy,
        cluster.text("tls-server-name"),
        time.monotonic() + TOKEN_FILE_LIFETIME if user.text("tokenFile") else inf,
    )


def _tls(cluster: Section, user: Section) -> ssl.SSLContext:
    authority = cluster.content("certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() or None)
    if cluster.values.get("insecure-skip-tls-verify") is True:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parts = (user.content("client-certificate"), user.content("client-key"))
    if all(parts):
        _load_certificate(context, b"\n".join(parts))
    return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes) -> None:
    """Load certificate and key, which OpenSSL takes from files only, without writing to a disk."""
    descriptor = os.memfd_create("client certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _authorization(user: Section) -> dict[str, str]:
    token_file = user.path("tokenFile")
    given = read_file(token_file, CREDENTIALS_FILE).decode() if token_file else user.text("token")
    token = given.strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _reason(error: Exception) -> str:
    """What an exception says, with the file if it is about one."""
    file = getattr(error, "filename", None)
    return f"{file}: {failure_text(error)}" if file else failure_text(error)

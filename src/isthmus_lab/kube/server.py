"""A Kubernetes API server: its files, credentials and command lines.

Used by the lab, which runs one per cluster in a namespace, and by tests, which run one on the
loopback interface. Starts no process. RBAC authorizes every request, anonymous requests are
rejected, and certificates or tokens identify users.
"""

import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from isthmus_lab.kube.assets import required
from isthmus_lab.topology.layout import Layout
from isthmus_lab.topology.plan import ClusterPlan

if TYPE_CHECKING:
    from isthmus.pki.certificates import IssueSpec, KeyPair

ADMIN, ADMIN_GROUP = "admin", "system:masters"
"""The administrator; Kubernetes grants all rights to the group."""

_ISSUER = "https://kubernetes.default.svc"
_SERVICES = "10.96.0.0/24"


@dataclass(frozen=True, slots=True)
class KubeServer:
    """An API server and its etcd.

    Args:
        directory: for its data, keys and kubeconfigs.
        host: the IP address on which both listen.
        port: TCP port of the API server.
        etcd_port: TCP port of etcd; the next one is its peer port, which stays unused.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 6443
    etcd_port: int = 2379

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"https://{_in_url(self.host)}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the administrator."""
        return self.kubeconfig_of(ADMIN)

    def kubeconfig_of(self, name: str) -> Path:
        """The kubeconfig that `for_user` or `for_token` wrote for a name."""
        return self.directory / f"{name}.kubeconfig"

    def prepare(self) -> None:
        """Create keys, certificates and the kubeconfig of the administrator."""
        from isthmus.pki.certificates import IssueSpec, Kind, new_ca  # noqa: PLC0415 - slow

        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_pair("ca", new_ca("isthmus-lab", _now()))
        self._issue("server", IssueSpec(Kind.MEMBER, "kube-apiserver", (self.host, "localhost")))
        token = secrets.token_hex()
        _write(self._file("tokens.csv"), f"{token},{ADMIN},{ADMIN},{ADMIN_GROUP}\n".encode())
        self.for_token(ADMIN, token)

    def etcd(self) -> list[str]:
        """The command that runs etcd."""
        client, peer = (
            f"http://{_in_url(self.host)}:{port}" for port in (self.etcd_port, self.etcd_port + 1)
        )
        return [
            *(required("etcd"), "--data-dir", str(self.directory / "etcd")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--log-level", "error"),
            # The data need not survive a crash of the machine.
            "--unsafe-no-fsync",
        ]

    def apiserver(self, *extra: str) -> list[str]:
        """The command that runs kube-apiserver.

        Args:
            extra: additional flags, which override earlier ones.
        """
        return [
            required("kube-apiserver"),
            f"--etcd-servers=http://{_in_url(self.host)}:{self.etcd_port}",
            f"--bind-address={self.host}",
            f"--advertise-address={self.host}",
            f"--secure-port={self.port}",
            f"--client-ca-file={self._file('ca.crt')}",
            f"--tls-cert-file={self._file('server.crt')}",
            f"--tls-private-key-file={self._file('server.key')}",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={self._file('server.crt')}",
            f"--service-account-signing-key-file={self._file('server.key')}",
            f"--service-cluster-ip-range={_SERVICES}",
            f"--token-auth-file={self._file('tokens.csv')}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            # It requires ServiceAccounts that only a controller would create, and none runs here.
            "--disable-admission-plugins=ServiceAccount",
            # Only useful for several or busy API servers, and slow to start.
            "--endpoint-reconciler-type=none",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
            *extra,
        ]

    def for_user(self, user: str) -> Path:
        """Write a kubeconfig with a client certificate.

        Args:
            user: the name of the user in RBAC. Its only groups are those of Isthmus's certificates.

        Returns:
            The file.
        """
        from isthmus.pki.certificates import IssueSpec, Kind  # noqa: PLC0415 - slow

        self._issue(user, IssueSpec(Kind.ZONE, user))
        credentials = {
            "client-certificate": str(self._file(f"{user}.crt")),
            "client-key": str(self._file(f"{user}.key")),
        }
        return self._write_kubeconfig(user, credentials)

    def for_token(self, name: str, token: str) -> Path:
        """Write a kubeconfig with a bearer token.

        Args:
            name: names the file.
            token: e.g. of a ServiceAccount.

        Returns:
            The file.
        """
        return self._write_kubeconfig(name, {"token": token})

    def _write_kubeconfig(self, name: str, credentials: dict[str, str]) -> Path:
        authority = str(self._file("ca.crt"))
        cluster = {"server": self.url, "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": name, "user": credentials}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "current-context": "lab",
        }
        file = self.kubeconfig_of(name)
        _write(file, yaml.safe_dump(config, sort_keys=False).encode())
        return file

    def _issue(self, name: str, spec: "IssueSpec") -> None:
        from isthmus.pki.certificates import KeyPair, issue  # noqa: PLC0415 - slow

        authority = KeyPair(*(self._file(f"ca.{kind}").read_bytes() for kind in ("key", "crt")))
        self._write_pair(name, issue(authority, spec, _now()))

    def _write_pair(self, name: str, pair: "KeyPair") -> None:
        _write(self._file(f"{name}.key"), pair.key)
        _write(self._file(f"{name}.crt"), pair.certificate)

    def _file(self, name: str) -> Path:
        return self.directory / name


def kube_server(layout: Layout, cluster: ClusterPlan) -> KubeServer:
    """The API server of a cluster, on the loopback interface of its central node."""
    return KubeServer(layout.kube(cluster.name))


def crds() -> Sequence[Path]:
    """The CustomResourceDefinitions of the Kube-OVN resources that Isthmus reads."""
    return sorted(Path(__file__).with_name("crds").glob("*.yaml"))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _write(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

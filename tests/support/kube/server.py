"""A real API server for tests, on the loopback interface: kube-apiserver with RBAC, and etcd.

Both are children of the test, which stops them by their id, and die with it.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus_lab.kube.api import ApiRequestError, KubeApi
from isthmus_lab.kube.server import KubeServer, crds
from support.ovn.servers import Processes, wait_until

NAMESPACE = "kube-system"
"""Where `ovn-ic-config` is."""

CONFIG = "ovn-ic-config"


class TestServer:
    """An API server with Kube-OVN's CRDs.

    Args:
        directory: for its data, keys, logs and kubeconfigs.
    """

    __test__ = False

    def __init__(self, directory: Path) -> None:
        etcd, port = _free_ports()
        self.server = KubeServer(directory, port=port, etcd_port=etcd)
        self.server.prepare()
        self.kubeconfig = self.server.kubeconfig
        """The kubeconfig of the administrator."""
        self.api = KubeApi(self.kubeconfig)
        """The API as the administrator."""
        self._processes = Processes(directory)

    def start(self) -> None:
        """Start both, and wait until the API server is ready and serves Kube-OVN's kinds."""
        self._start_both()
        self.api.apply_files(crds())

    @property
    def data(self) -> Path:
        """The data directory of etcd."""
        return self.server.directory / "etcd"

    def save(self, copy: Path) -> None:
        """Copy the data of etcd, which is stopped for that, as the API server is."""
        self._stop_both()
        shutil.copytree(self.data, copy)
        self._start_both()

    def restore(self, copy: Path | None) -> None:
        """Restart both with a copy of the data, or with none: then even the kinds are gone."""
        self._stop_both()
        shutil.rmtree(self.data)
        if copy is not None:
            shutil.copytree(copy, self.data)
        self._start_both()

    def _stop_both(self) -> None:
        """Stop both as a crash would."""
        self.stop_apiserver()
        self._processes.stop("etcd")

    def _start_both(self) -> None:
        self._processes.start("etcd", *self.server.etcd())
        self.start_apiserver()

    def start_apiserver(self, *extra: str) -> None:
        """Start the API server alone, on the existing data; flags may be added."""
        self._processes.start("kube-apiserver", *self.server.apiserver(*extra))
        wait_until(self._is_up, "the API server is ready", 60.0)

    def stop_apiserver(self, number: int = 9) -> None:
        """Stop the API server, by default as a crash would."""
        self._processes.stop("kube-apiserver", number)

    def signal_apiserver(self, number: int) -> None:
        """Send the API server a signal: SIGSTOP stalls it, SIGCONT resumes it."""
        self._processes.signal("kube-apiserver", number)

    def stop(self) -> None:
        """Stop both."""
        self._processes.stop_all()

    def for_user(self, user: str) -> Path:
        """A kubeconfig with a client certificate of a user, who has no rights without a role."""
        return self.server.for_user(user)

    def for_service_account(self, name: str, namespace: str = NAMESPACE) -> Path:
        """A kubeconfig with a token of a ServiceAccount, which is created if it is missing."""
        metadata = {"name": name, "namespace": namespace}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        try:
            self.api.get("ServiceAccount", name, namespace)
        except ApiRequestError:
            self.api.apply(account)
        return self.server.for_token(name, self.api.service_account_token(namespace, name))

    def configure(self, data: Mapping[str, str], name: str = CONFIG) -> dict[str, Any]:
        """Create or replace the ConfigMap and return it."""
        metadata = {"name": name, "namespace": NAMESPACE}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        applied: dict[str, Any] = self.api.apply(manifest)
        return applied

    def subnet(self, name: str, cidr: str, **spec: Any) -> dict[str, Any]:
        """Create or replace a Subnet."""
        return self._kube_ovn("Subnet", name, {"cidrBlock": cidr, **spec})

    def vpc(self, name: str) -> dict[str, Any]:
        """Create or replace a Vpc."""
        return self._kube_ovn("Vpc", name, {})

    def node(self, name: str, *addresses: str) -> dict[str, Any]:
        """Create a Node with InternalIPs that is Ready, and return it."""
        status = {
            "addresses": [{"type": "InternalIP", "address": address} for address in addresses],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        applied: dict[str, Any] = self.api.apply({**manifest, "status": status})
        return applied

    def clear(self) -> None:
        """Delete what tests create: ConfigMaps in `NAMESPACE`, Subnets, Vpcs, Nodes and Events."""
        for path in (
            f"/api/v1/namespaces/{NAMESPACE}/configmaps",
            "/api/v1/nodes",
            f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events",
            "/apis/events.k8s.io/v1/namespaces/default/events",
            "/apis/kubeovn.io/v1/subnets",
            "/apis/kubeovn.io/v1/vpcs",
        ):
            self.api.request("DELETE", path)

    def _is_up(self) -> bool:
        for name in ("etcd", "kube-apiserver"):
            assert self._processes.alive(name), self._processes.log(name)
        return self.api.is_ready()

    def _kube_ovn(self, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        manifest = {"apiVersion": "kubeovn.io/v1", "kind": kind, "metadata": {"name": name}}
        applied: dict[str, Any] = self.api.apply({**manifest, "spec": spec})
        return applied


@contextmanager
def running_server(directory: Path) -> Iterator[TestServer]:
    """An API server for one test."""
    server = TestServer(directory)
    try:
        server.start()
        yield server
    except subprocess.CalledProcessError as error:
        raise AssertionError(error.stderr) from error
    finally:
        server.stop()


def _free_ports() -> tuple[int, int]:
    """A port for etcd, such that the next one is free as well, and one for the API server."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        while True:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", 0))
                port: int = first.getsockname()[1]
                try:
                    second.bind(("127.0.0.1", port + 1))
                except OSError:
                    continue
                return port, other.getsockname()[1]

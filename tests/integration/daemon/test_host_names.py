"""`isthmus run` as a process, with IC databases named by a host name, and DNS that does not answer.

The daemon has its own `/etc/hosts` and a name server that accepts questions and never answers.
"""

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.ovsdb.unixctl_client import ask
from support.ovn.daemon import Cluster, IcServers, cluster_in
from support.ovn.own_network import IS_ROOT
from support.ovn.servers import wait_until

pytestmark = [pytest.mark.ovn, pytest.mark.skipif(not IS_ROOT, reason="needs root")]

NAME = "ic-db.example"
_WRAPPED = """
mount --bind "$1" /etc/hosts
mount --bind "$2" /etc/resolv.conf
shift 2
exec "$@"
"""


class Site:
    """A cluster whose ConfigMap names the IC databases' host by `NAME`."""

    def __init__(self, directory: Path, cluster: Cluster, ic: IcServers, name_server: str) -> None:
        self.cluster, self.ic = cluster, ic
        self._hosts, resolv = directory / "hosts", directory / "resolv.conf"
        resolv.write_text(f"nameserver {name_server}\noptions timeout:5 attempts:1\n")
        self.resolve("")
        self._wrapper = ("unshare", "--mount", "sh", "-ec", _WRAPPED, "sh", str(self._hosts),
                         str(resolv))  # fmt: skip
        cluster.use(ic, **{"ic-db-host": f"{NAME},"})

    def resolve(self, address: str) -> None:
        """Give the name an address; if empty, leave it to the name server."""
        self._hosts.write_text(f"{address} {NAME}\n" if address else "")

    def start(self, name: str = "run") -> None:
        """Start a daemon."""
        origin = f"--manifests={self.cluster.manifests}"
        socket_flag = f"--unixctl={self.control(name)}"
        self.cluster.start(name, origin, socket_flag, wrapper=self._wrapper)

    def control(self, name: str) -> Path:
        """A daemon's control socket."""
        return self.cluster.servers.directory / f"{name}.isthmus.ctl"

    def logs(self, text: str, name: str = "run") -> None:
        """Wait for a text in a daemon's log."""
        wait_until(lambda: text in self.cluster.servers.log(name), f"{name} logs {text}")

    def slowest_reply(self, name: str, seconds: float) -> float:
        """The longest time that a daemon takes to reply on its control socket."""
        slowest, end = 0.0, time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            ask(str(self.control(name)), "status")
            slowest = max(slowest, time.monotonic() - began)
        return slowest


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A cluster with its peer's prefix to learn; no daemon is started yet."""
    address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.53"  # noqa: S311 - not secret
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server,
        cluster_in(tmp_path) as (cluster, ic),
    ):
        name_server.bind((address, 53))
        yield Site(tmp_path, cluster, ic, address)


def test_a_name_that_is_resolved_only_after_the_start(site: Site) -> None:
    """The daemon names the name, answers at once meanwhile, and joins when there is an address."""
    site.start()
    site.logs(f"cannot be reached: the name {NAME} cannot be resolved: no name server")
    assert site.slowest_reply("run", 3.0) < 1.0
    site.resolve("127.0.0.1")
    wait_until(lambda: site.cluster.learned() == {"10.2.0.0/16"}, "the prefix is learned")
    site.logs("route policies")

    def count(text: str) -> int:
        return site.cluster.servers.log("run").count(f"{text}database OVN_IC_")

    wait_until(lambda: count("resolved: ") == 2, "both problems are resolved")
    assert count("WARNING|") == 2


def test_name_servers_that_stop_answering_while_the_daemon_runs(site: Site) -> None:
    """Open connections stay. Without them the routes stay, also when a standby takes over."""
    site.resolve("127.0.0.1")
    site.start()
    wait_until(lambda: site.cluster.learned() == {"10.2.0.0/16"}, "the prefix is learned")
    site.resolve("")
    site.ic.advertise("10.3.0.0/16")
    wait_until(lambda: len(site.cluster.learned()) == 2, "open connections need no name server")
    site.ic.kill_pair()
    site.start("standby")
    site.logs("standby: waiting", "standby")
    site.logs(f"the name {NAME} cannot be resolved", "run")
    assert site.cluster.servers.stop("run", 9) < 0
    site.logs("|active", "standby")
    site.logs(f"the name {NAME} cannot be resolved", "standby")
    assert "cannot be reached (" not in site.cluster.servers.log("standby")
    assert site.slowest_reply("standby", 3.0) < 1.0
    assert site.cluster.learned() == {"10.2.0.0/16", "10.3.0.0/16"}
    site.ic.serve_pair()
    site.resolve("127.0.0.1")
    site.ic.advertise("10.4.0.0/16")
    wait_until(lambda: len(site.cluster.learned()) == 3, "the standby works")
    assert site.cluster.deleted_routes() == 0

"""`isthmus run` as a process: databases that move, break and hang; stopping and standing by."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.daemon import IC, Cluster, IcServers, cluster_in
from support.ovn.servers import FILES, wait_until

pytestmark = pytest.mark.ovn

Site = tuple[Cluster, IcServers]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A cluster that has learned its peer's prefix, with the daemon running."""
    with cluster_in(tmp_path) as (cluster, ic):
        cluster.start()
        try:
            wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
        except AssertionError:
            print(cluster.servers.log("run"))
            raise
        yield cluster, ic


def test_moved_databases(site: Site, tmp_path: Path) -> None:
    """IC databases that move, with their data, to other ports: no learned route is withdrawn."""
    cluster, ic = site
    before = cluster.routes()
    moved = ic.copied_to(tmp_path / "moved")
    try:
        moved.serve_pair()
        cluster.use(moved)
        moved.advertise("10.3.0.0/16")
        wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "learned from the new place")
        ic.kill_pair()
        moved.advertise("10.4.0.0/16")
        wait_until(lambda: "10.4.0.0/16" in cluster.learned(), "the old place is not missed")
        assert set(before.splitlines()) <= set(cluster.routes().splitlines())
        assert cluster.deleted_routes() == 0
        assert "resolved: database" not in cluster.servers.log("run")
    finally:
        moved.stop_all()


def test_moving_to_a_place_that_is_not_there_yet(site: Site, tmp_path: Path) -> None:
    """While the new IC databases are down, all routes stay; the log reports it and its end."""
    cluster, ic = site
    moved = ic.copied_to(tmp_path / "moved")
    try:
        cluster.use(moved)
        wait_until(
            lambda: "OVN_IC_Southbound: remote = " in cluster.servers.log("run"),
            "the problem is reported",
        )
        assert "cannot be reached" in cluster.servers.log("run")
        assert cluster.learned() == {"10.2.0.0/16"}
        moved.serve_pair()
        moved.advertise("10.3.0.0/16")
        wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "learned from the new place")
        wait_until(
            lambda: cluster.servers.log("run").count("resolved: database OVN_IC_") == 2, "resolved"
        )
        assert cluster.deleted_routes() == 0
    finally:
        moved.stop_all()


def test_an_outage_with_a_restart(site: Site) -> None:
    """A daemon restarted while the IC databases are down withdraws no learned route."""
    cluster, ic = site
    before = cluster.routes()
    ic.kill_pair()
    assert cluster.servers.stop("run") == 0
    cluster.start("again")
    wait_until(
        lambda: cluster.servers.log("again").count("cannot be reached") == 2,
        "the problem is reported",
    )
    # Local work continues: the daemon is active, and follows NB.
    assert "|active" in cluster.servers.log("again")
    assert cluster.routes() == before
    ic.serve_pair()
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "work continues")
    assert set(before.splitlines()) <= set(cluster.routes().splitlines())
    assert cluster.deleted_routes() == 0


def test_what_went_during_an_outage_is_withdrawn_afterwards(site: Site) -> None:
    """A route that its zone withdrew during an outage goes after the outage."""
    cluster, ic = site
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: len(cluster.learned()) == 2, "two learned")
    ic.stop(FILES[Database.IC_SB], signal.SIGKILL)
    text = (
        '["OVN_IC_Southbound",{"op":"delete","table":"Route",'
        '"where":[["ip_prefix","==","10.3.0.0/16"]]}]'
    )
    file = ic.directory / f"{FILES[Database.IC_SB]}.db"
    subprocess.run(["ovsdb-tool", "transact", file, text], check=True, stdout=subprocess.DEVNULL)
    ic.stop(FILES[Database.IC_NB], signal.SIGKILL)
    ic.serve_pair()
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the other one is withdrawn")
    assert cluster.deleted_routes() == 1


def test_unreachable_databases_are_named_and_resolved(site: Site) -> None:
    """After three seconds the log names each database with its address, and later its return."""
    cluster, ic = site
    ic.kill_pair()
    began = time.monotonic()
    wait_until(
        lambda: "cannot be reached" in cluster.servers.log("run"), "the problem is reported", 10.0
    )
    assert 2.0 < time.monotonic() - began < 5.0
    for database in IC:
        expected = f"database {database}: remote = 'tcp:127.0.0.1:{ic.ports[database]}'"
        wait_until(lambda text=expected: text in cluster.servers.log("run"), expected)  # type: ignore[misc]
    assert "resolved: database" not in cluster.servers.log("run")
    ic.serve_pair()
    wait_until(
        lambda: cluster.servers.log("run").count("resolved: database OVN_IC_") == 2, "resolved"
    )


def test_a_server_that_hangs_is_named(site: Site) -> None:
    """A server that accepts connections and sends nothing is reported like one that is down."""
    cluster, ic = site
    cluster.servers.stop("run")
    ic.signal(FILES[Database.IC_SB], signal.SIGSTOP)
    cluster.start("again")
    wait_until(
        lambda: "OVN_IC_Southbound: remote" in cluster.servers.log("again"),
        "the problem is reported",
        10.0,
    )
    assert "does not send its contents" in cluster.servers.log("again")
    assert cluster.deleted_routes() == 0
    ic.signal(FILES[Database.IC_SB], signal.SIGCONT)
    wait_until(lambda: "resolved: database" in cluster.servers.log("again"), "resolved")


def test_a_server_that_hangs_on_a_unix_socket_is_named(site: Site) -> None:
    """A connected server that stops answering is reported, although its socket stays open."""
    cluster, _ = site
    cluster.servers.signal(FILES[Database.NB], signal.SIGSTOP)
    wait_until(
        lambda: "OVN_Northbound: remote" in cluster.servers.log("run"),
        "the problem is reported",
        90.0,
    )
    cluster.servers.signal(FILES[Database.NB], signal.SIGCONT)
    wait_until(
        lambda: "resolved: database OVN_Northbound" in cluster.servers.log("run"), "resolved"
    )


def test_stopping(site: Site) -> None:
    """On SIGTERM the daemon ends within two seconds with status 0, and routes stay in place."""
    cluster, _ = site
    began = time.monotonic()
    assert cluster.servers.stop("run", signal.SIGTERM) == 0
    assert time.monotonic() - began < 2.0
    assert cluster.learned() == {"10.2.0.0/16"}
    assert "stopping on SIGTERM; routes stay in place" in cluster.servers.log("run")


def test_stopping_while_databases_are_away(site: Site) -> None:
    """The daemon also ends at once when it cannot reach any database."""
    cluster, ic = site
    ic.kill_pair()
    began = time.monotonic()
    assert cluster.servers.stop("run", signal.SIGINT) == 0
    assert time.monotonic() - began < 2.0


def test_a_standby_takes_over(site: Site) -> None:
    """A second daemon on the same cluster writes nothing until the first is killed."""
    cluster, ic = site
    cluster.start("second")
    wait_until(lambda: "standby: waiting" in cluster.servers.log("second"), "the second stands by")
    before = cluster.routes()
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "the first works")
    assert "operations" not in cluster.servers.log("second")
    cluster.servers.stop("run", signal.SIGKILL)
    ic.advertise("10.4.0.0/16")
    wait_until(lambda: "10.4.0.0/16" in cluster.learned(), "the second works")
    assert "|active" in cluster.servers.log("second")
    assert set(before.splitlines()) <= set(cluster.routes().splitlines())
    assert cluster.deleted_routes() == 0


def test_without_southbound_nothing_is_written(site: Site) -> None:
    """Without SB there is no lock, so nothing is learned until SB is back."""
    cluster, ic = site
    cluster.servers.stop(FILES[Database.SB], signal.SIGKILL)
    wait_until(lambda: cluster.servers.log("run").count("standby: waiting") == 2, "it stands by")
    ic.advertise("10.3.0.0/16")
    wait_until(lambda: "cannot be reached" in cluster.servers.log("run"), "the problem is reported")
    assert cluster.learned() == {"10.2.0.0/16"}
    cluster.servers.serve(Database.SB)
    wait_until(lambda: "10.3.0.0/16" in cluster.learned(), "work continues")
    assert cluster.servers.log("run").count("standby: waiting") == 2

"""Sessions with real servers that are reached by name."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.oneshot import OneShotError, read
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from isthmus.ovsdb.streams.tls import Tls
from support.fakes.resolver import FakeResolver
from support.icdb.cluster import SB_PORT, cluster_in
from support.ovn.authority import Authority
from support.ovn.servers import SCHEMAS, Processes, wait_until

pytestmark = pytest.mark.ovn

NAME = "ic-db.example"


class Server:
    """An NB server on one TCP address at a time, always with the same port."""

    def __init__(self, directory: Path) -> None:
        self._processes = Processes(directory)
        self._file = directory / "nb.db"
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        schema = SCHEMAS / "ovn-nb.ovsschema"
        subprocess.run(["ovsdb-tool", "create", self._file, schema], check=True)

    def start(self, address: str, *tls: str) -> None:
        """Listen on an address; with TLS if there are options for it."""
        method = "pssl" if tls else "ptcp"
        self._processes.start(
            "nb", "ovsdb-server", str(self._file), f"--remote={method}:{self.port}:{address}",
            f"--unixctl={self.directory}/nb.ctl", "-vconsole:warn", *tls,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop listening."""
        self._processes.stop_all()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server, not started yet."""
    found = Server(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeResolver]:
    """A resolver that knows no name yet."""
    found = FakeResolver(monkeypatch)
    yield found
    found.stop()


def follow(session: Session, wanted: bool) -> None:
    """Run the session until it is or is not synchronised, waiting as the daemon does."""

    def reached() -> bool:
        session.run()
        if session.synced is not wanted:
            poller = Poller()
            session.wait(poller)
            poller.wake_in(0.2)
            poller.block()
        return session.synced is wanted

    wait_until(reached, "synchronised" if wanted else "disconnected")


def test_localhost(server: Server) -> None:
    """The system's own names, in every verb."""
    server.start("127.0.0.1")
    read({Database.NB: f"tcp:localhost:{server.port}"}, 30.0)
    isthmus = str(Path(sys.executable).with_name("isthmus"))
    remote = f"--ovnnb-db=tcp:LOCALHOST:{server.port},"
    verb = ["zone", "take-over", "az9", remote, "--ic-sb-db=unix:/nonexistent", "--timeout=2"]
    done = subprocess.run([isthmus, *verb], capture_output=True, text=True, check=False)
    assert "OVN_IC_Southbound: remote" in done.stderr
    assert "OVN_Northbound" not in done.stderr


def test_a_server_that_moves_while_the_session_is_open(
    server: Server, resolver: FakeResolver
) -> None:
    """The name is resolved again; while it has no address, the session names it and waits."""
    remote = f"tcp:{NAME}:{server.port}"
    resolver.answers[NAME] = ["127.0.0.1", "127.0.0.2"]
    server.start("127.0.0.2")
    session = Session(Database.NB, remote)
    follow(session, wanted=True)
    server.stop()
    follow(session, wanted=False)
    assert session.fault is None
    resolver.answers[NAME] = socket.EAI_NONAME
    wait_until(lambda: session.run() or session.fault, "the name is reported")
    assert f"the name {NAME} does not exist" in str(session.fault)
    resolver.answers[NAME] = ["127.0.0.3"]
    server.start("127.0.0.3")
    follow(session, wanted=True)
    assert session.fault is None
    session.close()


def test_slow_name_servers_delay_only_their_own_connection(
    server: Server, resolver: FakeResolver
) -> None:
    """Another address of the same database serves meanwhile."""
    resolver.answering.clear()
    server.start("127.0.0.1")
    session = Session(Database.NB, f"tcp:{NAME}:{server.port}, tcp:127.0.0.1:{server.port},")
    follow(session, wanted=True)
    assert session.fault is None
    session.close()


def test_a_name_that_does_not_exist_is_an_error_of_the_verb(resolver: FakeResolver) -> None:
    """With the name and what to do, at the end of the time limit."""
    with pytest.raises(OneShotError) as caught:
        read({Database.NB: f"tcp:{NAME}:6641"}, 1.0)
    (problem,) = caught.value.problems
    assert problem.message == f"cannot be reached: the name {NAME} does not exist"
    assert "correct the name" in problem.remedy


def test_a_name_that_leads_to_no_server_is_an_error_with_its_addresses(
    server: Server, resolver: FakeResolver
) -> None:
    """A wrong DNS record is seen at once."""
    resolver.answers[NAME] = ["127.0.0.2", "127.0.0.1"]
    with pytest.raises(OneShotError, match=rf"{NAME} is 127\.0\.0\.1, 127\.0\.0\.2\)"):
        read({Database.NB: f"tcp:{NAME}:{server.port}"}, 1.0)


def test_all_members_of_a_cluster_behind_one_name(resolver: FakeResolver, tmp_path: Path) -> None:
    """The leader among the addresses is found, and found again when another member leads."""
    with cluster_in(tmp_path) as members:
        resolver.answers[NAME] = [member.address for member in members]
        session = Session(Database.IC_SB, f"tcp:{NAME}:{SB_PORT}")
        for _ in range(2):
            follow(session, wanted=True)
            [leader] = [member for member in members if member.leads("sb")]
            leader.stop("sb")
            follow(session, wanted=False)
            wait_until(lambda: session.run() or session.synced, "the next leader is found", 10.0)
            leader.start("sb")
        session.close()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_tls_by_name(
    server: Server, resolver: FakeResolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the second address of the name."""
    monkeypatch.setattr("isthmus.ovsdb.streams.tls._TlsStream.tls", None)
    authority = Authority(tmp_path / "ca")
    key, certificate = map(str, authority.issue("both"))
    ca_cert = str(authority.certificate)
    options = (f"--private-key={key}", f"--certificate={certificate}", f"--ca-cert={ca_cert}")
    server.start("127.0.0.2", *options)
    resolver.answers[NAME] = ["127.0.0.1", "127.0.0.2"]
    Tls(key, certificate, ca_cert).use()
    session = Session(Database.NB, f"ssl:{NAME}:{server.port}")
    follow(session, wanted=True)
    session.close()

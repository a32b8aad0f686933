"""Sessions over TLS, with real servers and certificates of openssl."""

import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from isthmus.model.rows import Database
from isthmus.ovsdb.ovs_patches.logging import forward_to_logging
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from isthmus.ovsdb.streams.tls import Tls
from support.ovn.authority import Authority
from support.ovn.servers import SCHEMAS, Processes, wait_until

pytestmark = [
    pytest.mark.ovn,
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]


class Server:
    """An NB server that listens with TLS."""

    def __init__(self, directory: Path) -> None:
        self.processes = Processes(directory)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.remote = f"ssl:127.0.0.1:{self.port}"
        self.local = f"unix:{directory}/nb.sock"
        schema = SCHEMAS / "ovn-nb.ovsschema"
        subprocess.run(["ovsdb-tool", "create", directory / "nb.db", schema], check=True)

    def start(self, authority: Authority, name: str = "server") -> None:
        """Serve with a certificate of a CA, for clients of the same CA."""
        key, certificate = authority.issue(name)
        directory = self.processes.directory
        self.processes.start(
            "nb", "ovsdb-server", str(directory / "nb.db"), f"--remote=p{self.local}",
            f"--remote=pssl:{self.port}:127.0.0.1", f"--private-key={key}",
            f"--certificate={certificate}", f"--ca-cert={authority.certificate}",
            f"--unixctl={directory}/nb.ctl", "-vconsole:warn",
        )  # fmt: skip
        wait_until((directory / "nb.sock").exists, "the server listens")

    def nbctl(self, *arguments: str) -> None:
        """Run ovn-nbctl."""
        subprocess.run(["ovn-nbctl", f"--db={self.local}", *arguments], check=True)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """Two unrelated CAs."""
    directory = tmp_path_factory.mktemp("pki")
    return Authority(directory / "one"), Authority(directory / "two")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server, not started yet."""
    found = Server(tmp_path)
    yield found
    found.processes.stop_all()


@pytest.fixture
def files(tmp_path: Path) -> Tls:
    """The directory of the client's files."""
    tls = Tls(*(str(tmp_path / f"client-{name}.pem") for name in ("key", "cert", "ca")))
    tls.use()
    return tls


def install(tls: Tls, authority: Authority) -> None:
    """Install a certificate of a CA for the client."""
    key, certificate = authority.issue("client")
    shutil.copy(key, tls.private_key)
    shutil.copy(certificate, tls.certificate)
    shutil.copy(authority.certificate, tls.ca_cert)


@pytest.fixture
def session(server: Server, files: Tls) -> Iterator[Session]:
    """A session to the server, over TLS."""
    found = Session(Database.NB, server.remote)
    yield found
    found.close()


def follow(session: Session, condition: str) -> None:
    """Run the session until `synced` has a value, waiting as the daemon does."""
    wanted = condition == "synced"

    def reached() -> bool:
        session.run()
        if session.synced is not wanted:
            poller = Poller()
            session.wait(poller)
            poller.wake_in(0.2)
            poller.block()
        return session.synced is wanted

    wait_until(reached, condition)


def test_rows_come_over_tls(
    authorities: tuple[Authority, Authority], server: Server, files: Tls, session: Session
) -> None:
    """A database of several TLS records is read completely and kept up to date."""
    install(files, authorities[0])
    server.start(authorities[0])
    server.nbctl(*" -- ".join(f"ls-add switch-{n:04}" for n in range(1500)).split())
    found: set[str] = set()

    def all_there() -> bool:
        poller = Poller()
        session.wait(poller)
        poller.wake_in(0.2)
        poller.block()
        found.update(getattr(change.row, "name", "") for change in session.run())
        return len([name for name in found if name.startswith("switch-")]) == 1500

    wait_until(all_there, "all rows have come")
    server.nbctl("ls-add", "late")
    wait_until(lambda: all_there() and "late" in found, "a late row, too")


def test_certificates_are_rotated_without_a_restart(
    authorities: tuple[Authority, Authority], server: Server, files: Tls, session: Session
) -> None:
    """New files do not affect the connection; the next connection uses them."""
    first, second = authorities
    install(files, first)
    server.start(first)
    follow(session, "synced")
    install(files, second)
    server.nbctl("ls-add", "after")
    changed = False

    def told() -> bool:
        nonlocal changed
        changed |= any(getattr(change.row, "name", "") == "after" for change in session.run())
        return changed and session.connected

    wait_until(told, "the old connection still works")
    server.processes.stop("nb")
    follow(session, "gone")
    server.start(second)
    follow(session, "synced")


@pytest.mark.parametrize("fault", ["missing", "garbage", "another's"])
def test_bad_files_are_named_and_survived(
    *,
    fault: str,
    authorities: tuple[Authority, Authority],
    server: Server,
    files: Tls,
    session: Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bad certificates are reported with the reason; once they are fixed, the session connects."""
    forward_to_logging()
    first, second = authorities
    server.start(first)
    said = {
        "missing": f"{files.ca_cert}: No such file",
        "garbage": f"{files.ca_cert}: ",
        "another's": "certificate verify failed",
    }[fault]
    if fault == "garbage":
        install(files, first)
        Path(files.ca_cert).write_text("no certificate\n")
    if fault == "another's":
        install(files, second)
        said = "TLS handshake failed: "
    with caplog.at_level(logging.WARNING):

        def refused() -> bool:
            session.run()
            return said in caplog.text

        wait_until(refused, "the reason is reported")
    assert not session.connected
    install(files, first)
    follow(session, "synced")


@contextmanager
def dropping() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that drops connections that begin with TLS; its address, and what it dropped."""
    dropped: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # closed
                while True:
                    connection, _ = listener.accept()
                    connection.close()
                    dropped.append(connection)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"ssl:127.0.0.1:{listener.getsockname()[1]}", dropped
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def turn(session: Session) -> Session:
    """Run the session once, after waiting as the daemon does; returns it."""
    poller = Poller()
    session.wait(poller)
    poller.wake_in(0.2)
    poller.block()
    session.run()
    return session


def test_a_server_that_stops_during_a_handshake_is_not_a_tls_fault(
    authorities: tuple[Authority, Authority], files: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    """One dropped connection may be a restart; two in a row are a server without TLS."""
    forward_to_logging()
    install(files, authorities[0])
    with dropping() as (remote, dropped):
        session = Session(Database.NB, remote)
        with caplog.at_level(logging.WARNING):
            wait_until(
                lambda: bool(turn(session)) and "TLS handshake" in caplog.text, "one is dropped"
            )
        if len(dropped) == 1:
            assert session.fault is None
        wait_until(lambda: turn(session).fault is not None, "it is diagnosed")
        assert isinstance(session.fault, tuple)
        assert session.fault[1].startswith("enable TLS on the server")
    wait_until(lambda: turn(session).fault is None, "the fault of a stopped server ends")
    session.close()


def test_a_tls_fault_ends_when_another_server_of_the_database_answers(
    authorities: tuple[Authority, Authority], server: Server, files: Tls
) -> None:
    """A later outage is not explained by what one server did long ago."""
    install(files, authorities[0])
    server.start(authorities[0])
    with dropping() as (remote, _):
        before = Session(Database.NB, remote)
        wait_until(lambda: turn(before).fault is not None, "it is diagnosed")
        before.close()
        session = Session(Database.NB, f"{server.remote},{remote}")
        follow(session, "synced")
        server.processes.stop("nb")
        wait_until(lambda: not turn(session).synced, "the connection is lost")
        assert session.fault is None
        session.close()


def test_verbs_look_over_tls(
    authorities: tuple[Authority, Authority], server: Server, files: Tls
) -> None:
    """With the three options before the verb, databases are read over TLS."""
    install(files, authorities[0])
    server.start(authorities[0])
    server.nbctl("init")
    options = ["-p", files.private_key, "-c", files.certificate, "-C", files.ca_cert]
    program = str(Path(sys.executable).with_name("isthmus"))
    verb = ["zone", "take-over", "az9", f"--ovnnb-db={server.remote}", "--timeout=5"]
    same = f"--ic-sb-db={server.remote}"  # has no IC-SB, which is all that is missing
    done = subprocess.run(
        [program, *options, *verb, same], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "OVN_IC_Southbound: remote" in done.stderr
    assert "OVN_Northbound" not in done.stderr


def test_a_remote_with_tls_needs_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without certificates, an `ssl:` address is an error that names what is missing."""
    monkeypatch.setattr("isthmus.ovsdb.streams.tls._TlsStream.tls", None)
    session = Session(Database.NB, "ssl:127.0.0.1:6641")
    assert session.run() == []
    assert "private key" in session.last_error


def test_unknown_protocols_are_refused() -> None:
    """An unknown TLS version is an error."""
    with pytest.raises(ValueError, match=r"SSLv9: unknown TLS protocol"):
        Tls("", "", "", protocols="TLSv1.2,SSLv9")

"""IC databases over TLS, with certificates of `isthmus pki`: access, and rotation."""

import datetime
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from isthmus.pki.certificates import IssueSpec, KeyPair, Kind, bundle, new_ca
from isthmus.pki.files import TlsFiles, write_file
from support.icdb.certificates import NOW, install
from support.icdb.writers import Writers, insertion, transact
from support.ovn.daemon import Cluster, IcServers
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

MEMBER = IssueSpec(Kind.MEMBER, "one", ("127.0.0.1",))


@pytest.fixture(scope="module")
def authorities() -> tuple[KeyPair, KeyPair]:
    """Two independent CAs."""
    long_ago = NOW - datetime.timedelta(days=100)
    return new_ca("first", long_ago), new_ca("second", long_ago)


@pytest.fixture
def server(tmp_path: Path, authorities: tuple[KeyPair, KeyPair]) -> Iterator[IcServers]:
    """IC databases that accept only TLS, with a certificate of the first CA."""
    files = install(tmp_path / "member", authorities[0], MEMBER)
    found = IcServers(tmp_path / "ic")
    try:
        found.serve_pair(*files.options)
        found.add_peer()
        found.advertise("10.2.0.0/16")
        yield found
    finally:
        found.stop_all()


@pytest.fixture
def cluster(tmp_path: Path, server: IcServers) -> Iterator[Cluster]:
    """A cluster that joins there."""
    found = Cluster(tmp_path, server)
    try:
        yield found
    finally:
        found.servers.stop_all()


def start(cluster: Cluster, directory: Path) -> None:
    """Start `isthmus run` with a certificate for the IC databases alone."""
    cluster.start("run", f"--manifests={cluster.manifests}", f"--ic-tls-dir={directory}")


def remote(server: IcServers) -> str:
    """Where IC-NB is."""
    return f"ssl:127.0.0.1:{server.ports[Database.IC_NB]}"


def admitted(server: IcServers, files: TlsFiles) -> bool:
    """Whether a transaction on IC-NB over TLS is committed."""
    return transact(remote(server), files)


def names(server: IcServers) -> set[str]:
    """The names of all transit switches."""
    listed = ("--bare", "--columns=name", "list", "Transit_Switch")
    return set(server.ctl("ovn-ic-nbctl", Database.IC_NB, *listed).split())


def test_who_has_access(
    tmp_path: Path, server: IcServers, authorities: tuple[KeyPair, KeyPair]
) -> None:
    """Only a zone with a certificate of the CA; clear text, another CA's and an expired certificate
    get no data."""
    zone = IssueSpec(Kind.ZONE, "az1")
    assert admitted(server, install(tmp_path / "good", authorities[0], zone))
    stranger = install(tmp_path / "other", authorities[1], zone, trusted=authorities[0])
    assert not admitted(server, stranger)
    then = NOW - datetime.timedelta(days=50)
    assert not admitted(server, install(tmp_path / "old", authorities[0], zone, then, days=1))
    with socket.create_connection(("127.0.0.1", server.ports[Database.IC_NB]), 5) as clear:
        clear.sendall(b'{"method":"list_dbs","params":[],"id":0}')
        said = b""
        while more := clear.recv(4096):
            said += more
    assert b"OVN_IC" not in said


def test_a_client_trusts_only_its_own_ca(
    tmp_path: Path, server: IcServers, authorities: tuple[KeyPair, KeyPair]
) -> None:
    """A server of another CA gets no request."""
    zone = IssueSpec(Kind.ZONE, "az1")
    deceived = install(tmp_path / "z", authorities[0], zone, trusted=authorities[1])
    assert not admitted(server, deceived)


def test_a_zone_joins_with_a_certificate_of_its_own(
    tmp_path: Path, cluster: Cluster, authorities: tuple[KeyPair, KeyPair]
) -> None:
    """With `--ic-tls-dir` alone, unix sockets for NB and SB and TLS to the IC databases."""
    install(tmp_path / "zone", authorities[0], IssueSpec(Kind.ZONE, "az1"))
    start(cluster, tmp_path / "zone")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")


@pytest.mark.parametrize("fault", ["expired", "wrong CA", "clear text", "server expired"])
def test_a_zone_says_what_is_wrong(
    fault: str,
    tmp_path: Path,
    server: IcServers,
    cluster: Cluster,
    authorities: tuple[KeyPair, KeyPair],
) -> None:
    """A fault is reported with its remedy, and corrected files work without a restart."""
    zone, directory = IssueSpec(Kind.ZONE, "az1"), tmp_path / "zone"
    then = NOW - datetime.timedelta(days=50)
    good = install(directory, authorities[0], zone)
    said = ""
    if fault == "expired":
        install(directory, authorities[0], zone, then, days=1)
        said = f"certificate = '{good.certificate}': of az1 expired on"
    elif fault == "wrong CA":
        install(directory, authorities[1], zone)
        said = "use the CA certificate that signed the server's"
    elif fault == "server expired":
        install(tmp_path / "member", authorities[0], MEMBER, then, days=1)
        said = "renew the server's certificate"
    elif fault == "clear text":
        server.kill_pair()
        server.serve_pair()
        said = "enable TLS on the server"
    start(cluster, directory)
    wait_until(lambda: said in cluster.servers.log("run"), "it is reported")
    assert not cluster.learned()
    install(directory, authorities[0], zone)
    install(tmp_path / "member", authorities[0], MEMBER)
    if fault == "clear text":
        server.kill_pair()
        server.serve_pair(*TlsFiles.in_directory(tmp_path / "member").options)
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "it learns")


def test_a_zone_without_certificates_reports_the_remedy(
    tmp_path: Path, server: IcServers, cluster: Cluster, authorities: tuple[KeyPair, KeyPair]
) -> None:
    """A server that requires TLS closes a connection in clear text without an error."""
    cluster.start()
    hint = "if the server requires TLS, use an ssl: address and certificates"
    wait_until(lambda: hint in cluster.servers.log("run"), "it is reported")
    assert not cluster.learned()
    cluster.servers.stop("run")
    install(tmp_path / "zone", authorities[0], IssueSpec(Kind.ZONE, "az1"))
    start(cluster, tmp_path / "zone")
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")


def serial(server: IcServers) -> str:
    """The serial number of the certificate that new clients get."""
    address = f"127.0.0.1:{server.ports[Database.IC_NB]}"
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", address],
        input="", capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    command = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(command, input=shown, capture_output=True, text=True, check=True).stdout


def connections(cluster: Cluster) -> set[str]:
    """The TCP sockets that the daemon has: to IC-NB and IC-SB."""
    pid = cluster.servers.pid("run")
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links}
    sockets = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()]
    return own & {fields[9] for fields in sockets[1:]}


def test_everything_is_rotated_under_load(
    tmp_path: Path, server: IcServers, cluster: Cluster, authorities: tuple[KeyPair, KeyPair]
) -> None:
    """Certificates ten times, then the CA: no write is refused or lost, no route is withdrawn, and
    the daemon keeps its connection."""
    old, new = authorities
    zone, directory, member = (
        IssueSpec(Kind.ZONE, "az1"),
        tmp_path / "zone",
        tmp_path / "member",
    )
    clients = install(tmp_path / "client", old, IssueSpec(Kind.ZONE, "az3"))
    install(directory, old, zone)
    start(cluster, directory)
    wait_until(lambda: cluster.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
    routes, connected = cluster.routes(), connections(cluster)
    assert len(connected) == 2
    both = KeyPair(b"", bundle([old.certificate, new.certificate]))
    with Writers(remote(server), clients) as writers:
        serials = {serial(server)}
        for _ in range(10):
            install(member, old, MEMBER)
            serials.add(serial(server))
            install(directory, old, zone)
            writers.more(3)
        assert len(serials) == 11
        for place in (member, directory, tmp_path / "client"):
            write_file(TlsFiles.in_directory(place).ca_cert, both.certificate)
        writers.more(5)
        install(member, new, MEMBER, trusted=both)
        writers.more(5)
        install(directory, new, zone, trusted=both)
        writers.more(5)
    assert not writers.refused
    install(tmp_path / "client", new, IssueSpec(Kind.ZONE, "az3"))
    install(member, new, MEMBER)
    install(directory, new, zone)
    assert transact(remote(server), clients, insertion("last"))
    assert names(server) == writers.committed | {"ts", "last"}
    assert not admitted(
        server, install(tmp_path / "late", old, IssueSpec(Kind.ZONE, "az4"), trusted=new)
    )
    assert cluster.routes() == routes
    assert cluster.deleted_routes() == 0
    # Existing connections do not depend on the files.
    server.advertise("10.9.0.0/16")
    wait_until(lambda: "10.9.0.0/16" in cluster.learned(), "the daemon still gets updates")
    assert connections(cluster) == connected

"""The Raft ports of members with a proxy: a client accepted there could write any row."""

import json
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from isthmus.ovsdb.streams.tls import Tls
from isthmus.pki.files import TlsFiles
from support.icdb.authz import AuthorizedMembers, authorized_members, isthmus
from support.icdb.run import LIMIT, Member

pytestmark = pytest.mark.ovn

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
RAFT = ("nb-raft", "sb-raft")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorizedMembers]:
    """Three members with authorizing proxies."""
    with authorized_members(tmp_path_factory.mktemp("cluster"), *ADDRESSES) as found:
        yield found


def is_accepted(directory: Path, member: Member, port: str) -> bool:
    """Whether a server accepts a certificate.

    Its sessions for Raft answer "echo" as all of OVSDB's do (RFC 7047, 4.1.11).
    """
    files = TlsFiles.in_directory(directory)
    context = Tls(str(files.private_key), str(files.certificate), str(files.ca_cert)).context()
    with socket.create_connection((member.address, member.ports[port]), LIMIT) as plain:
        try:
            with context.wrap_socket(plain) as wrapped:
                wrapped.sendall(json.dumps({"method": "echo", "params": [], "id": "e"}).encode())
                return bool(wrapped.recv(1))
        except ssl.SSLCertVerificationError:
            raise  # our side rejected the server's certificate
        except (ssl.SSLError, ConnectionError):
            return False


def test_raft_ports_accept_only_members(cluster: AuthorizedMembers) -> None:
    """Zones and operators, which the proxies accept, are refused there by the servers."""
    member = cluster.issue("member", ADDRESSES[1])
    for kind, name in (("zone", "az1"), ("operator", "boss")):
        own = cluster.issue(kind, name)
        for target in cluster.members.all:
            assert all(is_accepted(own, target, short) for short in ("nb", "sb"))
            for port in RAFT:
                assert is_accepted(member, target, port)
                assert not is_accepted(own, target, port), f"{name} may speak Raft"
    log = (cluster.first.run_dir / "ovsdb-server-ic-sb.log").read_text()
    assert "certificate verify failed" in log


def test_both_authorities_are_replaced_while_members_run(cluster: AuthorizedMembers) -> None:
    """The steps of docs/how-to/tls.md work, and old certificates are refused afterwards."""
    before = {name: cluster.issue("member", name) for name in ADDRESSES}
    before["az1"] = cluster.issue("zone", "az1")
    new, old = cluster.directory / "ca2", cluster.directory / "old"
    shutil.copytree(cluster.directory / "tls", old)
    cluster.pki("init", str(new), "--name=new")
    for directory in before.values():
        cluster.pki("bundle", str(cluster.ca), str(new), f"--out={directory}", "--yes")
    for name, directory in before.items():
        cluster.pki("renew", str(directory), f"--ca={new}", "--yes")
        cluster.until(partial(serves_all, cluster), f"{name} has a new certificate, all work")
    for directory in before.values():
        cluster.pki("bundle", str(new), f"--out={directory}", "--yes")
        shutil.copy(directory / "ca.crt", old / directory.name)
    for member in cluster.members.all:
        cluster.until(refuses(old / ADDRESSES[1], member, *RAFT), "old members are refused")
        cluster.until(refuses(old / "az1", member, "nb", "sb"), "old zones are refused")
        assert member.stop() == 0
        member.start()
        cluster.members.complete()
        assert all(is_accepted(before[ADDRESSES[1]], member, port) for port in RAFT)
        assert all(is_accepted(before["az1"], member, port) for port in ("nb", "sb"))
        assert not any(is_accepted(before["az1"], member, port) for port in RAFT)


def serves_all(cluster: AuthorizedMembers) -> bool:
    """Whether all members are healthy and reachable with each other's certificates."""
    status = cluster.status("--timeout=10")
    return bool(status["healthy"])


def refuses(directory: Path, member: Member, *ports: str) -> Callable[[], bool]:
    """Whether a member refuses a certificate on all of these ports."""
    return lambda: not any(is_accepted(directory, member, port) for port in ports)


def start_with(directory: Path, tls: Path) -> str:
    """The error of `--authorize` in a cluster with unsuitable files, before anything starts."""
    data = directory / "data"
    done = isthmus(
        "ic-db", "run", "--authorize", "--members=127.0.0.1,127.0.0.2", "--address=127.0.0.1",
        f"--data-dir={data}", f"--run-dir={directory}/run", f"--tls-dir={tls}",
    )  # fmt: skip
    assert done.returncode == 1
    assert not data.exists()
    assert (
        "remedy: put the certificate of a self-signed CA there that signs only members"
        in done.stderr
    )
    return done.stderr


def test_an_unsuitable_members_ca_is_an_error(cluster: AuthorizedMembers, tmp_path: Path) -> None:
    """A missing members' CA, the CA of zones in its place, and a CA that did not sign us."""
    tls, ca = tmp_path / "tls", tmp_path / "ca"
    shutil.copytree(cluster.issue("member", ADDRESSES[0]), tls)
    apart, good = tls / "members-ca.crt", (tls / "members-ca.crt").read_bytes()
    apart.unlink()
    assert "cannot be read: No such file" in start_with(tmp_path, tls)
    shutil.copy(tls / "ca.crt", apart)
    assert "also signs zones" in start_with(tmp_path, tls)
    cluster.pki("init", str(ca), "--name=other")
    shutil.copy(ca / "members.crt", apart)
    assert "did not sign the certificate" in start_with(tmp_path, tls)
    (tls / "ca.crt").write_bytes(good)
    apart.write_bytes(good)
    assert "contains every CA of" in start_with(tmp_path, tls)


def test_an_unsuitable_members_ca_is_reported_at_run_time(cluster: AuthorizedMembers) -> None:
    """A running member reports a wrong members-ca.crt, and that the problem is resolved."""
    apart = cluster.issue("member", ADDRESSES[2]) / "members-ca.crt"
    good, last = apart.read_bytes(), cluster.members.all[2]
    try:
        shutil.copy(apart.with_name("ca.crt"), apart)
        last.says("also signs zones, so they could join")
    finally:
        apart.write_bytes(good)
    last.says("all problems resolved")

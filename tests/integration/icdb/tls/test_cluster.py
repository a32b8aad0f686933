"""A cluster of IC databases over TLS: certificates and the CA change while clients write."""

import datetime
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.pki.certificates import IssueSpec, KeyPair, Kind, bundle, new_ca
from isthmus.pki.files import TlsFiles, write_file
from support.icdb.certificates import NOW, install
from support.icdb.run import DATABASES, ISTHMUS, LIMIT, Member, Members, members
from support.icdb.writers import Writers, transact
from support.icdb.zone import zone_on
from support.ovn.servers import wait_until

pytestmark = pytest.mark.ovn

HOSTS = ("127.0.0.61", "127.0.0.62", "127.0.0.63")
ZONE = IssueSpec(Kind.ZONE, "az1")
LONG_AGO = NOW - datetime.timedelta(days=50)


def spec(member: Member) -> IssueSpec:
    """A member's certificate."""
    return IssueSpec(Kind.MEMBER, member.address, (member.address,))


def tls(member: Member) -> Path:
    """The directory of a member's certificate."""
    return member.directory / "tls"


def remotes(found: Members) -> str:
    """Where clients reach all members."""
    return ",".join(remote(member) for member in found.all)


def remote(member: Member) -> str:
    """Where clients reach a member."""
    return f"ssl:{member.address}:{member.ports['nb']}"


@pytest.fixture(scope="module")
def old() -> KeyPair:
    """The CA of all certificates at first."""
    return new_ca("old", LONG_AGO)


@pytest.fixture
def three(tmp_path: Path, old: KeyPair) -> Iterator[Members]:
    """Three members over TLS."""
    with members(tmp_path, *HOSTS) as found:
        for member in found.all:
            install(tls(member), old, spec(member))
            member.flags = (f"--tls-dir={tls(member)}",)
            member.start()
        found.complete()
        yield found


def restart_servers(found: Members, member: Member) -> None:
    """Restart a member's servers, so that they reconnect."""
    for short in DATABASES:
        before = member.server_pid(short)
        member.kill_server(short)
        wait_until(lambda: member.server_pid(short) != before, "another process", LIMIT)  # noqa: B023 - called here
    found.complete()


def test_the_ca_is_changed_under_load(tmp_path: Path, three: Members, old: KeyPair) -> None:
    """By the documented steps, with restarts in between: no acknowledged write is lost, and the
    zone's daemon is never refused and keeps all routes."""
    new = new_ca("new", LONG_AGO)
    both = KeyPair(b"", bundle([old.certificate, new.certificate]))
    client, zone_dir = tmp_path / "client", tmp_path / "zone-tls"
    files = install(client, old, IssueSpec(Kind.ZONE, "az3"))
    install(zone_dir, old, ZONE)
    places = [client, zone_dir, *map(tls, three.all)]
    with zone_on(tmp_path / "zone", three) as (zone, ic):
        zone.start("run", f"--manifests={zone.manifests}", f"--ic-tls-dir={zone_dir}")
        wait_until(lambda: zone.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
        routes = zone.routes()
        with Writers(remotes(three), files) as writers:
            for _ in range(3):
                for member in three.all:
                    install(tls(member), old, spec(member))
                    writers.more(2)
            # Without restarts nothing may be refused.
            assert not writers.refused
            for place in places:
                write_file(TlsFiles.in_directory(place).ca_cert, both.certificate)
            for member in three.all:
                install(tls(member), new, spec(member), trusted=both)
                restart_servers(three, member)
                writers.more(2)
            install(zone_dir, new, ZONE, trusted=both)
            install(client, new, IssueSpec(Kind.ZONE, "az3"), trusted=both)
            for place in places:
                write_file(TlsFiles.in_directory(place).ca_cert, new.certificate)
            for member in three.all:
                restart_servers(three, member)
            writers.more(2)
        late = install(tmp_path / "late", old, IssueSpec(Kind.ZONE, "az4"), trusted=new)
        for member in three.all:
            assert member.switches().keys() >= writers.committed
            assert transact(remote(member), files)
            assert not transact(remote(member), late)
        assert zone.routes() == routes
        ic.advertise("10.9.0.0/16")
        wait_until(lambda: "10.9.0.0/16" in zone.learned(), "the zone learns a new prefix")
        assert zone.deleted_routes() == 0
        said = zone.servers.log("run")
        assert not [line for line in said.splitlines() if "certificate" in line]


def test_an_expired_certificate_is_reported_and_renewed(three: Members, old: KeyPair) -> None:
    """The others continue; their `status` and the member's own log report it."""
    first, _, last = three.all
    install(tls(last), old, spec(last), LONG_AGO, days=1)
    for short in DATABASES:
        last.kill_server(short)
    flags = (f"--tls-dir={tls(first)}", "-o", "json")
    wait_until(lambda: "expired on" in str(status(first, *flags)), "it is named", LIMIT)
    for database in status(first, *flags)["databases"]:
        [problem] = database["problems"]
        assert problem.startswith(f"member {last.address} does not answer: its certificate, of")
        assert "renew it there (`isthmus pki renew`)" in problem
    last.says("expired on")
    first.add_switch("meanwhile")
    install(tls(last), old, spec(last), days=10)
    wait_until(lambda: status(first, *flags)["healthy"] is True, "both are healthy", LIMIT)
    wait_until(lambda: "meanwhile" in last.switches(), "it has caught up", LIMIT)
    [weakness, *_] = status(first, *flags)["databases"][0]["weaknesses"]
    assert weakness.startswith(f"the certificate of member {last.address} expires on")


def status(member: Member, *flags: str) -> dict[str, Any]:
    """The output of `isthmus ic-db status` on a member's host."""
    dirs = (f"--data-dir={member.data}", f"--run-dir={member.run_dir}")
    ports = (f"--nb-port={member.ports['nb']}", f"--sb-port={member.ports['sb']}")
    command = [str(ISTHMUS), "ic-db", "status", *dirs, *ports, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found

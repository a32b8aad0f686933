"""Members that are named by IPv6 addresses or host names, over TLS."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.icdb.local.hosts import bracketed
from isthmus.model.rows import Database
from isthmus.pki.certificates import IssueSpec, KeyPair, Kind, new_ca
from isthmus.pki.files import TlsFiles
from support.icdb.certificates import NOW, install
from support.icdb.run import ISTHMUS, LIMIT, Member, Members, members
from support.icdb.writers import insertion
from support.ovn.own_network import IS_ROOT, own_network
from support.ovn.servers import wait_until

pytestmark = [
    pytest.mark.ovn,
    pytest.mark.skipif(not IS_ROOT, reason="gives itself a network of its own: needs root"),
]

NAMES = {"ic1": "127.0.0.71", "ic2.example.org": "127.0.0.72", "ic3": "127.0.0.73"}
IPV6 = ("fd00::1", "fd00::2", "fd00::3")
HOSTS = {"IPv6": IPV6, "names": tuple(NAMES)}


class Site:
    """Three members in a network of their own.

    Args:
        found: the members, not started.
        inside: prefix of commands that run there.
        authority: the CA of all certificates.
    """

    def __init__(self, found: Members, inside: tuple[str, ...], authority: KeyPair) -> None:
        self.members, self._inside = found, inside
        for member in found.all:
            directory = member.directory / "tls"
            install(
                directory,
                authority,
                IssueSpec(Kind.MEMBER, member.address, (member.address,)),
            )
            listen = NAMES.get(member.address, member.address)
            member.wrapper = inside
            # A member with a host name would listen on all addresses, which are all here.
            member.flags = (f"--tls-dir={directory}", f"--listen={listen}")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command there."""
        whole = [*self._inside, *command]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    def isthmus(self, member: Member, verb: str, *more: str) -> str:
        """The output of `isthmus ic-db` on a member's host; it must succeed."""
        dirs = [f"--data-dir={member.data}", f"--run-dir={member.run_dir}"]
        done = self.run(str(ISTHMUS), "ic-db", verb, *dirs, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def flags(self, member: Member) -> tuple[str, ...]:
        """The options of verbs that ask other members."""
        ports = (f"--nb-port={member.ports['nb']}", f"--sb-port={member.ports['sb']}")
        return (*ports, member.flags[0])

    def status(self, member: Member) -> list[dict[str, Any]]:
        """The status of both databases, which must be healthy."""
        said = self.isthmus(member, "status", *self.flags(member), "-o", "json")
        found: list[dict[str, Any]] = json.loads(said)["databases"]
        return found

    def insert(self, name: str, files: TlsFiles) -> None:
        """Write a row as a client of all members."""
        port = self.members.all[0].ports["nb"]
        remotes = ",".join(f"ssl:{bracketed(m.address)}:{port}" for m in self.members.all)
        text = json.dumps([Database.IC_NB, insertion(name)])
        options = ("--timeout=20", *files.options)
        done = self.run("ovsdb-client", *options, "transact", remotes, text)
        assert "uuid" in done.stdout, done


@pytest.fixture
def authority() -> KeyPair:
    """An authority."""
    return new_ca("test", NOW)


@pytest.fixture(params=HOSTS)
def site(request: pytest.FixtureRequest, tmp_path: Path, authority: KeyPair) -> Iterator[Site]:
    """Members by IPv6 addresses, or by names."""
    addresses = [f"{address}/128" for address in IPV6]
    with (
        own_network(tmp_path, addresses, NAMES) as inside,
        members(tmp_path, *HOSTS[request.param]) as found,
    ):
        yield Site(found, inside, authority)


def test_members_come_and_go(site: Site, tmp_path: Path, authority: KeyPair) -> None:
    """They create a cluster, accept writes, leave, rejoin, and are removed."""
    first, second, third = site.members.all
    for member in site.members.all:
        member.start()
    site.members.complete()
    site.insert("written", install(tmp_path / "zone", authority, IssueSpec(Kind.ZONE, "az1")))
    for database in site.status(second):
        shown = {member["address"].strip("[]") for member in database["members"]}
        assert shown == {member.address for member in site.members.all}
        assert all(member["certificate_expires"] for member in database["members"])
        assert database["weaknesses"] == []
    site.isthmus(third, "leave", "--yes")
    third.stop()
    third.wipe()
    third.start()
    site.members.complete()
    wait_until(lambda: "written" in third.switches(), "it is filled", LIMIT)
    third.kill()
    said = site.isthmus(first, "kick", third.address, *site.flags(first))
    assert said.count(f"at ssl:{bracketed(third.address)}:") == 2
    for database in site.status(first):
        assert len(database["members"]) == 2


def test_a_name_that_cannot_be_resolved_is_reported(tmp_path: Path) -> None:
    """A member's own name is an error; the bootstrap member waits for another's."""
    with (
        own_network(tmp_path, names=NAMES) as inside,
        members(tmp_path, "ic1", "ic9.example.org") as found,
    ):
        one, other = found.all
        for member in found.all:
            member.wrapper, member.flags = inside, ("--listen=127.0.0.71", "--insecure")
        said = other.refused()
        assert "--address = 'ic9.example.org': cannot be resolved: " in said
        assert "fix the name in DNS or /etc/hosts, or give an IP address" in said
        one.start()
        one.says("member = 'ic9.example.org': does not answer: its name ")

"""A running cluster of IC databases goes from clear text to TLS, and zones keep what they have."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from isthmus.pki.certificates import KeyPair, Kind, Wish, new_authority
from support.certificates import NOW, install
from support.ic_run import DATABASES, LIMIT, Member, Members, members
from support.ic_writers import Writers
from support.ovn import wait_until

pytestmark = pytest.mark.ovn

HOSTS = ("127.0.0.51", "127.0.0.52", "127.0.0.53")


@pytest.fixture
def authority() -> KeyPair:
    """An authority."""
    return new_authority("test", NOW)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Members]:
    """Three members that talk in clear text."""
    with members(tmp_path, *HOSTS) as found:
        for member in found.all:
            member.start()
        found.complete()
        yield found


def tls_flags(member: Member, authority: KeyPair) -> tuple[str, ...]:
    """Flags with a certificate of its own."""
    directory = member.directory / "tls"
    install(directory, authority, Wish(Kind.MEMBER, member.address, (member.address,)))
    return f"--tls-dir={directory}", "--from-clear-text"


def methods(member: Member, short: str) -> list[str]:
    """How members are reached, as one of them has it; none if it is outside at the moment."""
    with suppress(subprocess.CalledProcessError):
        return sorted(server.address.partition(":")[0] for server in member.raft(short).servers)
    return []


def all_by_tls(member: Member, short: str, size: int = 3) -> bool:
    """Whether all members are reached by TLS."""
    return methods(member, short) == ["ssl"] * size


def remotes(found: Members, *methods: str) -> str:
    """Where clients reach all members."""
    return ",".join(
        f"{way}:{member.address}:{member.ports['nb']}" for member in found.all for way in methods
    )


def test_members_go_over_one_after_the_other(three: Members, authority: KeyPair) -> None:
    """Each is restarted once; then all rows are there, by TLS alone, in the same cluster."""
    cids = {short: three.all[0].cid(short) for short in DATABASES}
    client = install(three.all[0].directory / "client", authority, Wish(Kind.ZONE, "az1"))
    with Writers(remotes(three, "tcp", "ssl"), client) as writers:
        for member in three.all:
            writers.more(2)
            member.stop()
            member.start(*tls_flags(member, authority))
            three.complete()
        for member in three.all:
            for short in DATABASES:
                what = f"{member.address} has all by TLS"
                wait_until(partial(all_by_tls, member, short), what, LIMIT)
        three.complete()
        writers.more(2)
    for member in three.all:
        assert member.switches().keys() >= writers.committed
        for short in DATABASES:
            assert member.cid(short) == cids[short]
            assert list(member.data.glob(f"ovn_ic_{short}_db.clear-text-*.db"))
            assert list(member.data.glob(f"before-tls-{short}-*.tar.gz"))

"""A running cluster of IC databases goes from clear text to TLS, and zones keep what they have."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from isthmus.pki.certificates import KeyPair, Kind, Wish, new_authority
from support.icdb.certificates import NOW, install
from support.icdb.run import DATABASES, ISTHMUS, LIMIT, Member, Members, members
from support.icdb.writers import Writers
from support.icdb.zone import zone_on
from support.ovn.servers import wait_until

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


def assert_all_answer(member: Member) -> None:
    """See that `status` finds all members, whichever way they serve clients."""
    dirs = (f"--data-dir={member.data}", f"--run-dir={member.run_dir}")
    ports = (f"--nb-port={member.ports['nb']}", f"--sb-port={member.ports['sb']}")
    tls = f"--tls-dir={member.directory / 'tls'}"
    command = [str(ISTHMUS), "ic-db", "status", *dirs, *ports, tls, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for database in json.loads(done.stdout)["databases"]:
        roles = [other["role"] for other in database["members"]]
        assert "unreachable" not in roles, done.stdout


def test_members_go_over_one_after_the_other(
    tmp_path: Path, three: Members, authority: KeyPair
) -> None:
    """Each is restarted once; then all rows are there, by TLS alone, in the same cluster, and a
    zone has kept all routes, also while it was not told yet."""
    cids = {short: three.all[0].cid(short) for short in DATABASES}
    client = install(tmp_path / "client", authority, Wish(Kind.ZONE, "az1"))
    with zone_on(tmp_path / "zone", three) as (zone, ic):
        zone.start()
        wait_until(lambda: zone.learned() == {"10.2.0.0/16"}, "the peer's prefix is learned")
        routes = zone.routes()
        with Writers(remotes(three, "tcp", "ssl"), client) as writers:
            for member in three.all:
                writers.more(2)
                member.stop()
                member.start(*tls_flags(member, authority))
                three.complete()
                assert_all_answer(member)
            for member in three.all:
                for short in DATABASES:
                    what = f"{member.address} has all by TLS"
                    wait_until(partial(all_by_tls, member, short), what, LIMIT)
            three.complete()
            writers.more(2)
        assert zone.routes() == routes
        zone.servers.stop("run")
        zone.start("run", f"--manifests={zone.manifests}", f"--ic-tls-dir={tmp_path / 'client'}")
        ic.advertise("10.9.0.0/16")
        wait_until(lambda: "10.9.0.0/16" in zone.learned(), "it hears of a new one")
        assert zone.deleted_routes() == 0
    for member in three.all:
        assert member.switches().keys() >= writers.committed
        for short in DATABASES:
            assert member.cid(short) == cids[short]
            assert list(member.data.glob(f"ovn_ic_{short}_db.clear-text-*.db"))
            assert list(member.data.glob(f"before-tls-{short}-*.tar.gz"))


def test_one_that_ended_in_the_moment_of_leaving_goes_over(
    three: Members, authority: KeyPair
) -> None:
    """The cluster has let it go, and its file does not say so: it joins anew all the same."""
    leaver, other = three.all[1], three.all[0]
    other.add_switch("kept")
    # What it leaves: the backup, and a file without a word of its leave.
    for short in DATABASES:
        (leaver.data / f"before-tls-{short}-20261127T112438Z.tar.gz").touch()
    leaver.kill()
    dirs = [f"--data-dir={other.data}", f"--run-dir={other.run_dir}"]
    ports = [f"--{short}-port={other.ports[short]}" for short in DATABASES]
    kick = [str(ISTHMUS), "ic-db", "kick", leaver.address, *dirs, *ports]
    subprocess.run(kick, check=True, capture_output=True)
    three.stop()
    for member in three.all:
        member.start(*tls_flags(member, authority))
    for member in three.all:
        for short in DATABASES:
            wait_until(partial(all_by_tls, member, short), "all by TLS", LIMIT)
    three.complete()
    assert all("kept" in member.switches() for member in three.all)


def test_a_restart_half_way_does_no_harm(three: Members, authority: KeyPair) -> None:
    """Members that are killed while they go over are in the cluster in the end, with all rows."""
    three.all[0].add_switch("kept")
    three.stop()
    for member in three.all:
        member.flags = tls_flags(member, authority)
        member.start()
    leaves, joins = "leaving, to join again by TLS", "joining again by TLS"
    founder, second, third = three.all
    for member, moment in ((second, leaves), (third, joins), (founder, leaves), (founder, joins)):
        member.says(moment)
        member.kill()
        member.start()
    for member in three.all:
        for short in DATABASES:
            wait_until(partial(all_by_tls, member, short), "all by TLS", LIMIT)
    three.complete()
    assert all("kept" in member.switches() for member in three.all)


def test_a_single_member_goes_over(tmp_path: Path, authority: KeyPair) -> None:
    """Nobody could admit it anew: its rows become those of a new cluster, ids and all."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.start()
        one.complete()
        member.add_switch("kept")
        before = member.switches()
        member.stop()
        said = member.refused(tls_flags(member, authority)[0])
        assert "members are to talk by ssl" in said
        assert "--from-clear-text" in said
        member.start(*tls_flags(member, authority))
        for short in DATABASES:
            wait_until(partial(all_by_tls, member, short, 1), "by TLS", LIMIT)
        one.complete()
        assert member.switches() == before

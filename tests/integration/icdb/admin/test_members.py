"""`isthmus ic-db status|leave|kick|move-leader|compact` on real clusters."""

import json
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.icdb.cluster import DATABASES, ISTHMUS, ClusterMember, cluster_in
from support.ovn.servers import SCHEMAS, wait_until

pytestmark = pytest.mark.ovn


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[ClusterMember]]:
    """Three members of both clusters; the first created them."""
    with cluster_in(tmp_path) as members:
        yield members


def status(member: ClusterMember) -> dict[str, Any]:
    """The output of `status -o json`; its exit status must agree."""
    done = member.isthmus("status", "-o", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["healthy"] else 1)
    return found


def one_leads(members: list[ClusterMember], short: str) -> bool:
    """Whether one of these leads."""
    return any(member.leads(short) for member in members)


def healthy(member: ClusterMember) -> bool:
    """Whether both databases are healthy."""
    return bool(status(member)["healthy"])


def test_status_shows_every_member(members: list[ClusterMember]) -> None:
    """One leader, all logs and schemas, the local server's size and clients; exit status 0."""
    wait_until(lambda: healthy(members[1]), "both are healthy")
    for database in status(members[1])["databases"]:
        assert database["model"] == "clustered"
        assert database["members"][0]["address"] == "127.0.0.2"
        assert sorted(member["role"] for member in database["members"]) == [
            "follower", "follower", "leader",
        ]  # fmt: skip
        assert {member["cid"] for member in database["members"]} == {database["cid"]}
        assert all(member["schema"] and member["lag"] == 0 for member in database["members"])
        local = database["members"][0]
        assert local["size"] > 0
        assert local["term"] >= 1
        assert database["weaknesses"] == []
    text = members[1].isthmus("status").stdout
    assert "OVN_IC_Northbound: healthy, cluster " in text
    assert "127.0.0.2 (here)" in text


def test_status_over_tls(tmp_path: Path) -> None:
    """With certificates it asks all members and shows when theirs expire; without, it cannot."""
    _make_certificates(tmp_path)
    with cluster_in(tmp_path, tls=tmp_path / "all") as members:
        flags = (f"--tls-dir={tmp_path / 'all'}", "-o", "json")

        def all_healthy() -> bool:
            return members[0].isthmus("status", *flags).returncode == 0

        wait_until(all_healthy, "both are healthy")
        found = json.loads(members[0].isthmus("status", *flags).stdout)
        for database in found["databases"]:
            assert database["weaknesses"] == []
            assert all("GMT" in member["certificate_expires"] for member in database["members"])
        assert "CERTIFICATE UNTIL" in members[0].isthmus("status", flags[0]).stdout
        blind = members[0].isthmus("status")
        assert blind.returncode == 1
        without = "cannot be asked without certificates: give --tls-dir"
        assert f"member 127.0.0.2 {without}" in blind.stdout
        foreign = members[0].isthmus("status", f"--tls-dir={tmp_path / 'foreign'}")
        assert foreign.returncode == 1
        assert "member 127.0.0.2 does not answer: its certificate, issued by" in foreign.stdout
        certificates = ("ca/members.crt", "other/members.crt", "--out=foreign/ca.crt", "--yes")
        _pki(tmp_path, "bundle", *certificates)
        refused = members[0].isthmus("status", f"--tls-dir={tmp_path / 'foreign'}")
        assert f"it may reject {tmp_path / 'foreign' / 'tls.crt'}" in refused.stdout
        assert "no majority" not in blind.stdout + foreign.stdout + refused.stdout
        bad = members[0].isthmus("status", f"--tls-dir={tmp_path}")
        assert bad.returncode == 1
        assert str(tmp_path / "tls.") in bad.stderr
        backup = members[0].isthmus("backup", flags[0], str(tmp_path / "backup.tar.gz"))
        assert backup.returncode == 0, backup.stderr


def _make_certificates(directory: Path) -> None:
    """Create those of all members in `all`, and those of another CA in `foreign`."""
    addresses = [f"--address=127.0.0.{number}" for number in (1, 2, 3)]
    for authority, name in (("ca", "all"), ("other", "foreign")):
        _pki(directory, "init", authority)
        _pki(directory, "issue", "member", name, "--ca", authority, *addresses)


def _pki(directory: Path, *arguments: str) -> None:
    command = [str(ISTHMUS), "pki", *arguments]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def test_a_live_member_is_recognized_without_certificates(tmp_path: Path) -> None:
    """A member that cannot be asked without certificates is neither removed nor missing."""
    _make_certificates(tmp_path)
    with cluster_in(tmp_path, tls=tmp_path / "all") as members:
        first = members[0]
        for flags in ((), (f"--tls-dir={tmp_path / 'foreign'}",)):
            assert (
                "the member is alive; nothing was changed"
                in first.isthmus("kick", "127.0.0.3", *flags).stderr
            )
        members[2].stop()
        found = json.loads(first.isthmus("status", "-o", "json").stdout)["databases"][0]
        assert any(p.startswith("member 127.0.0.3 does not answer") for p in found["problems"])
        assert first.isthmus("kick", "127.0.0.3").returncode == 0


def test_clear_text_is_a_weakness(tmp_path: Path) -> None:
    """Listening beyond the loopback interface without TLS is reported, but not unhealthy."""
    with cluster_in(tmp_path, 1) as [alone]:
        alone.appctl("nb", "ovsdb-server/add-remote", "ptcp:26649:0.0.0.0")
        nb, sb = status(alone)["databases"]
        assert nb["weaknesses"] == [
            "clients connect in clear text, without certificates: ptcp:26649:0.0.0.0"
        ]
        assert (nb["healthy"], sb["weaknesses"]) == (True, [])


def test_status_of_a_server_that_stands_alone(tmp_path: Path) -> None:
    """A stand-alone database is healthy, without members."""
    with cluster_in(tmp_path, 1) as [alone]:
        found = status(alone)
    assert found["healthy"]
    assert [database["model"] for database in found["databases"]] == ["standalone"] * 2


def test_an_upgrade_is_seen_at_once(tmp_path: Path) -> None:
    """A stand-alone server keeps its first schema in `_Server`, so it is asked for the current."""
    for short in DATABASES:
        file = tmp_path / f"ovn-ic-{short}.ovsschema"
        schema = json.loads((SCHEMAS / file.name).read_text())
        del schema["cksum"]
        file.write_text(json.dumps(schema | {"version": "99.0.0"}))
    with cluster_in(tmp_path, 1) as [alone]:
        command = ("upgrade", f"--schema-dir={tmp_path}")
        assert alone.isthmus(*command).stdout.count(": converted") == 2
        schemas = [database["members"][0]["schema"] for database in status(alone)["databases"]]
        assert schemas == ["99.0.0", "99.0.0"]
        assert alone.isthmus(*command).stdout.count("schema 99.0.0 stays") == 2


def test_status_names_who_is_missing(members: list[ClusterMember]) -> None:
    """One member down, then two and no majority; both are exit status 1."""
    members[2].stop()
    [problem, *_] = status(members[0])["databases"][0]["problems"]
    assert problem.startswith("member 127.0.0.3 does not answer")
    members[1].stop()
    no_majority = "no majority of the members is in contact, so writes fail"
    wait_until(
        lambda: status(members[0])["databases"][0]["problems"][0].startswith(no_majority),
        no_majority,
    )
    members[0].stop()
    found = status(members[0])
    assert found["databases"] == []
    assert "its server on this host does not answer" in found["errors"][0]


def test_leadership_moves(members: list[ClusterMember]) -> None:
    """The leader's host hands both databases over; repeated, it does not lead."""
    first = members[0]
    done = first.isthmus("move-leader", ports=False)
    assert done.returncode == 0, done.stderr
    for short in DATABASES:
        assert not first.leads(short)
        wait_until(partial(one_leads, members[1:], short), "one of the others leads")
    assert first.isthmus("move-leader", ports=False).stdout.count("does not lead") == 2


def test_a_leader_leaves(members: list[ClusterMember]) -> None:
    """Without --yes nothing happens; with it the others continue with all data."""
    first, second, _ = members
    first.ctl("nb", "ts-add", "kept")
    assert "then give --yes" in first.isthmus("leave", ports=False).stderr
    done = first.isthmus("leave", "--yes", ports=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("this member has left the cluster") == 2
    wait_until(lambda: healthy(second), "two are a healthy cluster")
    assert len(status(second)["databases"][0]["members"]) == 2
    assert "kept" in second.dump("nb")
    second.ctl("nb", "ts-add", "more")
    assert "this member waits for the cluster, or has left it" in first.isthmus("status").stderr


def test_the_last_one_does_not_leave(tmp_path: Path) -> None:
    """A server that stands alone refuses, and keeps its data."""
    with cluster_in(tmp_path, 1) as [alone]:
        done = alone.isthmus("leave", "--yes", ports=False)
        assert done.returncode == 1
        assert "its server refuses the command" in done.stderr
        assert alone.serves("nb")


def test_a_lost_member_is_replaced(members: list[ClusterMember], tmp_path: Path) -> None:
    """A dead member is kicked by its address, and another joins at a new address."""
    members[2].stop()
    done = members[1].isthmus("kick", "127.0.0.3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("at tcp:127.0.0.3:") == 2
    wait_until(lambda: healthy(members[0]), "two are a healthy cluster")
    new = ClusterMember(tmp_path / "m4", "127.0.0.4")
    try:
        for short in DATABASES:
            new.create(short, members[0])
        new.start()
        wait_until(lambda: healthy(new), "three again")
        assert len(status(new)["databases"][1]["members"]) == 3
    finally:
        new.processes.stop_all()


def test_a_leader_that_is_lost_is_kicked_at_once(members: list[ClusterMember]) -> None:
    """The command waits until the others have elected a leader that can remove it."""
    lost = next(member for member in members if member.leads("nb"))
    other = next(member for member in members if member is not lost)
    lost.stop()
    done = other.isthmus("kick", lost.address)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: healthy(other), "two are a healthy cluster")


def test_no_member_is_removed_that_the_majority_needs(members: list[ClusterMember]) -> None:
    """With one dead, another cannot leave, even with --yes, before the dead one is kicked."""
    first, second, third = members
    third.stop()
    kept = (
        "without this member, no majority of the members would be left: 127.0.0.3 does not answer"
    )
    for member, command in ((second, ("leave",)), (first, ("kick", "127.0.0.2"))):
        done = member.isthmus(*command, "--yes", ports=False)
        assert (done.returncode, kept in done.stderr) == (1, True), done.stderr
        assert "`isthmus ic-db kick 127.0.0.3`" in done.stderr
    first.ctl("nb", "ts-add", "kept")
    assert first.isthmus("kick", "127.0.0.3").returncode == 0
    assert second.isthmus("leave", "--yes", ports=False).returncode == 0
    assert "kept" in first.dump("nb")
    first.ctl("nb", "ts-add", "alone")


def test_a_hanging_member_does_not_count_for_the_majority(members: list[ClusterMember]) -> None:
    """Although its port accepts connections; with two of three gone, no member is removed."""
    first, second, third = members
    third.processes.signal("nb", signal.SIGSTOP)
    hangs = "no majority of the members would be left: 127.0.0.3 does not answer"
    assert hangs in first.isthmus("kick", "127.0.0.2", "--yes").stderr
    second.stop("nb")
    no_majority = "no majority of the members answers: 127.0.0.2, 127.0.0.3 do not answer"
    assert no_majority in first.isthmus("kick", "127.0.0.2").stderr


def test_leaving_continues_after_an_interruption(members: list[ClusterMember]) -> None:
    """A cluster that the member has left is skipped; if one cannot be left, neither is."""
    first, second, third = members
    for member, short in ((third, "nb"), (second, "sb")):
        member.appctl(short, "cluster/leave", DATABASES[short])
        gone = partial(lambda m, s: DATABASES[s] not in m.appctl(s, "ovsdb-server/list-dbs"))
        wait_until(partial(gone, member, short), f"{member.address} has left {short}")
    done = third.isthmus("leave", "--yes", ports=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("this member has left the cluster") == 2
    done = first.isthmus("leave", "--yes", ports=False)
    assert "OVN_IC_Southbound: this is the only member" in done.stderr
    assert first.serves("nb")
    assert third.isthmus("leave", "--yes", ports=False).returncode == 0


def _isthmus(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ISTHMUS), "ic-db", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_live_member_is_not_kicked_by_mistake(members: list[ClusterMember]) -> None:
    """A live member requires --yes; the own server and unknown members are refused."""
    first = members[0]
    assert "the member is alive; nothing was changed" in first.isthmus("kick", "127.0.0.2").stderr
    assert "is this host's own server" in first.isthmus("kick", "127.0.0.1", "--yes").stderr
    assert (
        "is not the address or server id of a member"
        in first.isthmus("kick", "127.0.0.9", "--yes").stderr
    )
    wait_until(lambda: healthy(first), "no member was removed")
    assert len(status(first)["databases"][0]["members"]) == 3
    assert first.isthmus("kick", "127.0.0.2", "--yes").returncode == 0
    wait_until(lambda: len(status(first)["databases"][0]["members"]) == 2, "removed")


def test_logs_are_compacted(members: list[ClusterMember], tmp_path: Path) -> None:
    """Compacting shrinks a file with many writes, and keeps the rows."""
    leader = members[0]
    for number in range(40):
        leader.ctl("nb", "ts-add", f"ts{number}")
        leader.ctl("nb", "ts-del", f"ts{number}")
    leader.ctl("nb", "ts-add", "kept")
    before = leader.file("nb").stat().st_size
    done = leader.isthmus("compact", ports=False)
    assert done.returncode == 0, done.stderr
    assert leader.file("nb").stat().st_size < before / 2
    assert "kept" in leader.dump("nb")
    elsewhere = _isthmus("compact", f"--data-dir={tmp_path}", f"--run-dir={leader.run_dir}")
    assert f"--data-dir = '{tmp_path}/ovn_ic_nb_db.db': cannot be read" in elsewhere.stderr

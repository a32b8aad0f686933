"""`isthmus ic-db run` as a cluster: it arises once, in any order, and loses nothing."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.icdb.run import DATABASES, ISTHMUS, LIMIT, Member, Members, members
from support.ovn.servers import SCHEMAS, wait_until

pytestmark = pytest.mark.ovn

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Members]:
    """Three members, of which the first is the founder."""
    with members(tmp_path, *HOSTS) as found:
        yield found


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_started_one_after_the_other(three: Members, order: tuple[int, ...]) -> None:
    """Whatever the order, there is one cluster with one leader, and the default transit switch."""
    for number in order:
        member = three.all[number]
        member.start()
        # So that each has done all that it does alone.
        socket_file = member.run_dir / "ovn_ic_sb_db.sock"
        wait_until(socket_file.exists, "its servers run", LIMIT)
    three.complete()
    assert all(member.switches().keys() == {"ts"} for member in three.all)
    for member in three.all[1:]:
        assert "OVN_IC_Northbound: joined cluster " in member.log.read_text()


def test_a_follower_forgets_dead_zones(three: Members) -> None:
    """Whichever member is told to does it, whether its server leads or not."""
    for member in three.all:
        member.start()
    three.complete()
    leader = three.leader("sb")
    follower = next(member for member in three.all if member is not leader)
    leader.add_zone("dead", int(time.time()) - 5000)
    follower.stop()
    follower.start("--forget-zones-after=4000")
    wait_until(lambda: not leader.zones(), "the dead one is gone", LIMIT)
    follower.says("zone pruned: dead")
    assert three.leader("sb") is leader


def test_a_lost_disk_is_filled_again(three: Members) -> None:
    """Founder or not: a member that lost its disk is admitted anew, its old self is put out."""
    for member in three.all:
        member.start()
    three.complete()
    cids = [three.all[0].cid(short) for short in DATABASES]
    for number, member in enumerate(three.all[:2]):
        three.all[2].add_switch(f"kept{number}")
        member.stop(signal.SIGKILL)
        member.wipe()
        member.start()
        three.complete()
        assert [member.cid(short) for short in DATABASES] == cids
        assert f"kept{number}" in member.switches()
        for short in DATABASES:
            leader = three.leader(short)
            wait_until(
                lambda leader=leader, short=short: leader.servers(short).count(" at tcp:") == 3,  # type: ignore[misc]
                "the old self is put out",
            )


def _end_before_admission(member: Member, short: str) -> None:
    """Have its file be what a member leaves that was sent the contents, and no more."""
    file = member.data / f"ovn_ic_{short}_db.db"
    head, first, _ = file.read_bytes().split(b"\n", 2)
    # Of one the record of its admission is there, as far as it goes.
    begun = b"OVSDB CLU" if short == "nb" else b""
    file.write_bytes(head + b"\n" + first + b"\n" + begun)


def test_one_that_ended_while_it_was_admitted_joins_anew(three: Members) -> None:
    """Between the contents and its admission a member's file is one that no server serves."""
    for member in three.all:
        member.start()
    three.complete()
    one = three.all[1]
    one.add_switch("before")
    one.stop(signal.SIGKILL)
    for short in DATABASES:
        _end_before_admission(one, short)
    one.start()
    three.complete()
    # The same while it runs: only its server ends, and is started again by a supervisor that
    # is held up until the file is as it is to be.
    os.kill(one.pid, signal.SIGSTOP)
    one.kill_server("sb")
    _end_before_admission(one, "sb")
    os.kill(one.pid, signal.SIGCONT)
    said = "OVN_IC_Southbound: was interrupted while being admitted; joining again"
    wait_until(lambda: one.log.read_text().count(said) == 2, f"{said}, again", LIMIT)
    three.complete()
    assert "before" in one.switches()
    assert len(list(one.data.glob("ovn_ic_sb_db.not-admitted-*.db"))) == 2
    for short in DATABASES:
        wait_until(
            lambda short=short: three.leader(short).servers(short).count(" at tcp:") == 3,  # type: ignore[misc]
            "the old selves are put out",
        )


def test_all_come_back(three: Members) -> None:
    """After the end of all members, in good order or not, every row is there again."""
    for member in three.all:
        member.start()
    three.complete()
    cid = three.all[0].cid("nb")
    for number in (signal.SIGTERM, signal.SIGKILL):
        three.all[1].add_switch(f"before-{number.name}")
        for member in three.all:
            member.stop(number)
        for member in three.all:
            member.start()
        three.complete()
        assert f"before-{number.name}" in three.all[2].switches()
        assert three.all[2].cid("nb") == cid


def test_a_leader_that_stops_hands_over(three: Members) -> None:
    """Another member leads at once, without an election's timer having run out first."""
    for member in three.all:
        member.start()
    three.complete()
    leader = three.leader("nb")
    assert leader.stop() == 0
    successor = three.leader("nb")
    status = subprocess.run(
        ["ovs-appctl", "-t", f"{successor.run_dir}/ovn_ic_nb_db.ctl", "cluster/status",
         DATABASES["nb"]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "reason: leadership_transfer" in status


def test_the_founder_waits_for_all_and_says_for_whom(three: Members) -> None:
    """Who cannot be asked might be in a cluster: nothing is founded until people vouch for it."""
    founder, other, _ = three.all
    founder.start()
    other.start()
    founder.says(f"member = '{HOSTS[2]}': does not answer")
    assert founder.row("nb") == {}
    founder.stop()
    founder.start(f"--found-without={HOSTS[2]}")
    three.complete()


def test_two_founders_found_nothing(three: Members) -> None:
    """Members that were given different founders say so, and no cluster arises."""
    one, other, third = three.all
    one.start()
    third.start()
    other.start(f"--founder={HOSTS[1]}")
    one.says(f"member = '{HOSTS[1]}': waits to create a cluster itself")
    other.says(f"member = '{HOSTS[0]}': waits to create a cluster itself")
    other.stop()
    other.start()
    three.complete()


def test_a_stand_alone_database_is_converted(tmp_path: Path) -> None:
    """The founder's rows are the cluster's, ids and all; the file is kept; clients go on."""
    with members(tmp_path, *HOSTS) as three:
        founder, *others = three.all
        founder.start_as("--transit-switch=kept=10.9.0.0/24")
        wait_until(lambda: founder.ready, "the stand-alone database is served", LIMIT)
        before = founder.switches()
        founder.stop()
        founder.start()
        founder.says("does not answer")
        founder.add_switch("meanwhile")
        for member in others:
            member.start()
        three.complete()
        after = others[0].switches()
        assert after.keys() == {"kept", "meanwhile"}
        assert before.items() <= after.items()
        for short in DATABASES:
            [kept] = founder.data.glob(f"ovn_ic_{short}_db.standalone-*.db")
            assert b"OVSDB JSON" in kept.read_bytes()


def test_a_stand_alone_database_elsewhere_is_named(three: Members) -> None:
    """Only the founder's is converted; another member's is left alone, with a remedy."""
    _, member, _ = three.all
    member.data.mkdir()
    file = member.data / "ovn_ic_sb_db.db"
    schema = str(SCHEMAS / "ovn-ic-sb.ovsschema")
    subprocess.run(["ovsdb-tool", "create", str(file), schema], check=True)
    before = file.read_bytes()
    said = member.refused()
    assert "is a stand-alone database, and only the bootstrap member's is converted" in said
    assert f"--founder {HOSTS[1]}" in said
    assert file.read_bytes() == before


def test_a_member_with_another_address_is_named(three: Members) -> None:
    """A member's address is part of its identity: its file is not served under another one."""
    member = three.all[0]
    member.data.mkdir()
    file = str(member.data / "ovn_ic_nb_db.db")
    schema = str(SCHEMAS / "ovn-ic-nb.ovsschema")
    create = ["ovsdb-tool", "create-cluster", file, schema, "tcp:127.0.0.99:6647"]
    subprocess.run(create, check=True)
    assert "is that of the member tcp:127.0.0.99:6647, but this one is" in member.refused()


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    """A member whose log is damaged is not served: it would forget what it has voted for."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.start()
        one.complete()
        member.add_switch("first")
        member.add_switch("second")
        member.stop()
        file = member.data / "ovn_ic_nb_db.db"
        file.write_bytes(file.read_bytes().replace(b'"first"', b'"fxrst"'))
        said = member.refused()
        assert f"'{file}': is damaged: " in said
        assert "gets the data from the others" in said


def test_an_unfinished_last_record_is_dropped(tmp_path: Path) -> None:
    """What a power failure leaves of a record that nobody was told of is no damage."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.start()
        one.complete()
        member.add_switch("first")
        member.stop()
        file = member.data / "ovn_ic_nb_db.db"
        whole = file.read_bytes()
        for rest in (whole[:-10], whole[: whole.rindex(b"\nOVSDB") + 9]):
            file.write_bytes(rest)
            member.log.write_text("")
            member.start()
            one.complete()
            assert "the last transaction is incomplete" in member.log.read_text()
            member.stop()


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_hosts_of_all_kinds(tmp_path: Path, host: str) -> None:
    """IPv6 addresses and host names are members like others, also when they come back."""
    with members(tmp_path, host) as one:
        [member] = one.all
        for _ in range(2):
            member.start()
            one.complete()
            assert member.switches().keys() == {"ts"}
            member.stop()


def test_a_raft_port_in_use_is_named(tmp_path: Path) -> None:
    """What listens already is not disturbed; the port and a remedy are named."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        port = member.ports["sb-raft"]
        with socket.create_server((HOSTS[0], port)):
            said = member.refused()
        assert f"--sb-raft-port = '{port}': cannot listen on tcp:{HOSTS[0]}:{port}" in said


def test_another_database_on_a_members_port_is_named(three: Members, tmp_path: Path) -> None:
    """A member that serves something else on the port is named, and nothing is founded."""
    founder, other, third = three.all
    file, schema = tmp_path / "other.db", tmp_path / "other.ovsschema"
    schema.write_text(json.dumps({"name": "Else", "version": "1.0.0", "tables": {}}))
    subprocess.run(["ovsdb-tool", "create", str(file), str(schema)], check=True)
    server = subprocess.Popen(
        ["ovsdb-server", f"--remote=ptcp:{other.ports['nb']}:{other.address}",
         f"--unixctl={tmp_path}/other.ctl", "-vconsole:off", str(file)],
    )  # fmt: skip
    try:
        founder.start()
        third.start()
        founder.says(f"'{HOSTS[1]}': does not have the database: it has Else")
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_members_of_two_clusters_are_named(tmp_path: Path) -> None:
    """Each founded one of its own before the lists were made the same; both would be healthy."""
    with members(tmp_path, *HOSTS[:2]) as both:
        alone = [(f"--members={host}", f"--address={host}") for host in HOSTS[:2]]
        for member, flags in zip(both.all, alone, strict=True):
            member.start_as(*flags)
        wait_until(lambda: all(member.ready for member in both.all), "each serves alone", LIMIT)
        assert both.all[0].cid("nb") != both.all[1].cid("nb")
        for member in both.all:
            member.stop()
            member.start()
        for member, other in zip(both.all, HOSTS[1::-1], strict=True):
            member.says(f"member = '{other}': is in cluster")
            member.says("decide which cluster to keep")


def test_an_outsider_in_the_cluster_is_named(tmp_path: Path) -> None:
    """Members whose lists differ say who is in the cluster but not in their list."""
    with members(tmp_path, *HOSTS[:2]) as two:
        for member in two.all:
            member.start()
        two.complete()
        two.all[0].stop()
        two.all[0].listed = HOSTS[:1]
        two.all[0].start()
        two.all[0].says(f"--members = '{HOSTS[1]}': is a member of the cluster, but not in this")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--members=127.0.0.1,127.0.0.2"], "--address: is missing"),
        (["--members=127.0.0.2", "--address=127.0.0.1"], "'127.0.0.1': is not in the list of"),
        (["--members=127.0.0.1:6647", "--address=127.0.0.1"], "'127.0.0.1:6647': is neither an IP"),
        (
            ["--members=192.0.2.1", "--address=192.0.2.1"],
            "or accept the risk with --insecure",
        ),
        (["--members=192.0.2.1", "--address=192.0.2.1", "--insecure"], "is not an address of this"),
        (["--member-file=/nonexistent"], "cannot be read: No such file or directory"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, flags: list[str], said: str) -> None:
    """A bad value is named before anything is started."""
    dirs = [f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run"]
    done = subprocess.run(
        [str(ISTHMUS), "ic-db", "run", *dirs, *flags],
        capture_output=True, text=True, check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 1
    assert said in done.stderr


def _id_of(member: Member) -> object:
    """The id of its IC-NB server; None while that starts, and a moment longer."""
    with suppress(subprocess.CalledProcessError):
        return member.row("nb").get("sid")
    return None


def test_one_that_has_not_been_admitted_keeps_its_id(three: Members) -> None:
    """Started again before there is a cluster, it asks with its id; with a new list, anew."""
    member = three.all[1]
    ids = []
    for listed in (HOSTS, HOSTS, HOSTS[:2]):
        member.listed = listed
        member.start()
        wait_until(lambda: _id_of(member), "it serves", LIMIT)
        ids.append(_id_of(member))
        member.stop()
    assert ids[0] == ids[1] != ids[2]


def test_a_founder_that_joins_may_be_interrupted(three: Members) -> None:
    """A founder that lost its disk and was ended while it joins finds the cluster again."""
    for member in three.all:
        member.start()
    three.complete()
    cid = three.all[1].cid("nb")
    founder, other, third = three.all
    founder.stop(signal.SIGKILL)
    founder.wipe()
    other.stop()  # Without a majority nobody is admitted.
    founder.start()
    founder.says("OVN_IC_Southbound: joining cluster")
    founder.stop(signal.SIGKILL)
    founder.start()
    other.start()
    three.complete()
    assert founder.cid("nb") == third.cid("nb") == cid


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
def test_a_full_disk_is_named_and_gone_when_there_is_space(tmp_path: Path) -> None:
    """ovsdb-server itself would never write again after the first failure."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.data.mkdir()
        script = f'mount -t tmpfs -o size=10m t {member.data} && exec "$@"'
        member.wrapper = ("unshare", "--mount", "sh", "-c", script, "sh")
        member.start()
        one.complete()
        member.add_switch("before")
        filler = Path(f"/proc/{member.pid}/root{member.data}/filler")
        with suppress(OSError):
            filler.write_bytes(bytes(16 << 20))
        with pytest.raises(subprocess.CalledProcessError):
            member.add_switch("x" * 10000)
        member.says("cannot be written to; 0 KiB are free on its disk")
        filler.unlink()
        member.says("its server cannot write; restarting it")
        wait_until(lambda: member.serves("nb"), "it serves", LIMIT)
        member.add_switch("after")
        assert {"ts", "before", "after"} <= member.switches().keys()


def test_a_member_that_was_put_out_while_it_was_down_is_named(three: Members) -> None:
    """Its file says nothing of that; the others, which it asks, are together without it."""
    for member in three.all:
        member.start()
    three.complete()
    lost, other = three.all[2], three.all[0]
    lost.stop(signal.SIGKILL)
    kick = [str(ISTHMUS), "ic-db", "kick", lost.address]
    dirs = [f"--data-dir={other.data}", f"--run-dir={other.run_dir}"]
    ports = [f"--{short}-port={other.ports[short]}" for short in DATABASES]
    subprocess.run([*kick, *dirs, *ports], check=True, capture_output=True)
    lost.start()
    lost.says("and a majority are in contact, but not with this member")


def test_a_member_that_was_put_out_is_named(three: Members) -> None:
    """It says so while it runs, and when it is started again; its file is left alone."""
    for member in three.all:
        member.start()
    three.complete()
    leader = three.leader("sb")
    victim = next(member for member in three.all if member is not leader)
    sid = str(victim.row("sb")["sid"][1])[:4]  # type: ignore[index]
    target = f"{leader.run_dir}/ovn_ic_sb_db.ctl"
    kick = ["ovs-appctl", "-t", target, "cluster/kick", DATABASES["sb"], sid]
    subprocess.run(kick, check=True, capture_output=True)
    victim.says("the member may have left the cluster or been removed from it")
    victim.stop()
    said = victim.refused()
    assert "has left its cluster, or was removed from it" in said
    (victim.data / "ovn_ic_sb_db.db").rename(victim.data / "old.db")
    victim.start()
    three.complete()


def test_a_change_from_clear_text_to_tls_is_named(tmp_path: Path) -> None:
    """A member's file says how members talk; it is not served otherwise without people knowing."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.data.mkdir()
        file, port = str(member.data / "ovn_ic_nb_db.db"), member.ports["nb-raft"]
        schema = str(SCHEMAS / "ovn-ic-nb.ovsschema")
        create = ["ovsdb-tool", "create-cluster", file, schema, f"ssl:{HOSTS[0]}:{port}"]
        subprocess.run(create, check=True)
        said = member.refused()
        assert (
            f"is that of the member ssl:{HOSTS[0]}:{port}, but members are to connect by tcp"
            in said
        )


def test_a_newer_schema_is_named_and_served(tmp_path: Path) -> None:
    """A cluster with a schema of a later OVN is served as it is, with a warning."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.data.mkdir()
        contents = json.loads((SCHEMAS / "ovn-ic-nb.ovsschema").read_text())
        del contents["cksum"]
        schema = tmp_path / "newer.ovsschema"
        schema.write_text(json.dumps({**contents, "version": "99.0.0"}))
        file, port = str(member.data / "ovn_ic_nb_db.db"), member.ports["nb-raft"]
        create = ["ovsdb-tool", "create-cluster", file, str(schema), f"tcp:{HOSTS[0]}:{port}"]
        subprocess.run(create, check=True)
        member.start()
        one.complete()
        member.says("schema = '99.0.0': is newer than the installed one")


def test_a_compacted_member_comes_back(tmp_path: Path) -> None:
    """A file that holds a snapshot and nothing after it is whole."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.start()
        one.complete()
        member.add_switch("kept")
        member.stop()
        member.start()
        one.complete()
        for short, database in DATABASES.items():
            target = f"{member.run_dir}/ovn_ic_{short}_db.ctl"
            compact = ["ovs-appctl", "-t", target, "ovsdb-server/compact", database]
            subprocess.run(compact, check=True)
        member.stop(signal.SIGKILL)
        member.start()
        one.complete()
        assert "kept" in member.switches()

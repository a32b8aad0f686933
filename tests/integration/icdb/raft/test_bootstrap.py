"""`isthmus ic-db run` as a cluster: created once, in any order, and without losing data."""

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

from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.icdb.server.zone_pruning import ZonePruning
from isthmus.model.rows import Database
from support.icdb.run import DATABASES, ISTHMUS, LIMIT, Member, Members, members
from support.ovn.servers import SCHEMAS, wait_until

pytestmark = pytest.mark.ovn

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Members]:
    """Three members, of which the first is the bootstrap member."""
    with members(tmp_path, *HOSTS) as found:
        yield found


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_started_one_after_the_other(three: Members, order: tuple[int, ...]) -> None:
    """Whatever the order, there is one cluster with one leader, and the default transit switch."""
    for number in order:
        member = three.all[number]
        member.start()
        # Each gets as far as it can alone.
        socket_file = member.run_dir / "ovn_ic_sb_db.sock"
        wait_until(socket_file.exists, "its servers run", LIMIT)
    three.complete()
    assert all(member.switches().keys() == {"ts"} for member in three.all)
    for member in three.all[1:]:
        assert "OVN_IC_Northbound: joined cluster " in member.log.read_text()


def test_a_follower_prunes_dead_zones(three: Members) -> None:
    """Any member with the option prunes, whether or not its server leads."""
    for member in three.all:
        member.start()
    three.complete()
    leader = three.leader("sb")
    follower = next(member for member in three.all if member is not leader)
    now, clock = [int(time.time())], [0.0]
    leader.add_zone("dead", now[0] - 5000)
    remotes = {
        Database.IC_NB: f"unix:{follower.run_dir}/ovn_ic_nb_db.sock",
        Database.IC_SB: f"unix:{follower.run_dir}/ovn_ic_sb_db.sock",
    }
    pruning = ZonePruning(remotes, 4000, clock=lambda: clock[0], time_of_day=lambda: now[0])

    def gone() -> bool:
        clock[0] += INTERVAL / 2
        now[0] += INTERVAL // 2
        leader.beat("living", now[0])
        pruning.check()
        return not leader.zones()

    wait_until(gone, "the dead zone is gone", LIMIT)
    assert three.leader("sb") is leader


def test_a_lost_disk_is_filled_again(three: Members) -> None:
    """A member that lost its disk is admitted again, and its previous server is removed."""
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
                "the previous server is removed",
            )


def _end_before_admission(member: Member, short: str) -> None:
    """Cut a member's file to what it holds between the data and the record of its admission."""
    file = member.data / f"ovn_ic_{short}_db.db"
    head, first, _ = file.read_bytes().split(b"\n", 2)
    # In one of them, the record of the admission has begun.
    begun = b"OVSDB CLU" if short == "nb" else b""
    file.write_bytes(head + b"\n" + first + b"\n" + begun)


def test_a_member_that_was_interrupted_while_admitted_joins_again(three: Members) -> None:
    """Between the data and the admission, its file is one that ovsdb-server rejects."""
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
    # The same while it runs: only its server ends, and the supervisor is paused until the file
    # is prepared.
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
            "the previous servers are removed",
        )


def test_all_come_back(three: Members) -> None:
    """After all members were stopped or killed, every row is there again."""
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
    """Another member leads at once, without waiting for an election timer."""
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


def test_the_bootstrap_member_waits_for_all_and_names_them(three: Members) -> None:
    """A member without an answer may be in a cluster, unless an operator vouches for it."""
    bootstrap, other, _ = three.all
    bootstrap.start()
    other.start()
    bootstrap.says(f"member = '{HOSTS[2]}': does not answer")
    assert bootstrap.row("nb") == {}
    bootstrap.stop()
    bootstrap.start(f"--found-without={HOSTS[2]}")
    three.complete()


def test_two_bootstrap_members_create_no_cluster(three: Members) -> None:
    """Members with different --founder report it, and no cluster is created."""
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
    """The rows keep their ids, the file is kept, and clients continue meanwhile."""
    with members(tmp_path, *HOSTS) as three:
        bootstrap, *others = three.all
        bootstrap.start_as("--transit-switch=kept=10.9.0.0/24")
        wait_until(lambda: bootstrap.ready, "the stand-alone database is served", LIMIT)
        before = bootstrap.switches()
        bootstrap.stop()
        bootstrap.start()
        bootstrap.says("does not answer")
        bootstrap.add_switch("meanwhile")
        for member in others:
            member.start()
        three.complete()
        after = others[0].switches()
        assert after.keys() == {"kept", "meanwhile"}
        assert before.items() <= after.items()
        for short in DATABASES:
            [kept] = bootstrap.data.glob(f"ovn_ic_{short}_db.standalone-*.db")
            assert b"OVSDB JSON" in kept.read_bytes()


def test_a_stand_alone_database_elsewhere_is_named(three: Members) -> None:
    """Only the bootstrap member's is converted; another member's is an error, and is kept."""
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
    """The address is part of a member's identity, so its file is not served at another one."""
    member = three.all[0]
    member.data.mkdir()
    file = str(member.data / "ovn_ic_nb_db.db")
    schema = str(SCHEMAS / "ovn-ic-nb.ovsschema")
    create = ["ovsdb-tool", "create-cluster", file, schema, "tcp:127.0.0.99:6647"]
    subprocess.run(create, check=True)
    assert "is that of the member tcp:127.0.0.99:6647, but this one is" in member.refused()


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    """A damaged log is not served, since the member would lose its votes."""
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
    """An incomplete record, as after a power failure, was never acknowledged."""
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
    """IPv6 addresses and host names work like other members, also after a restart."""
    with members(tmp_path, host) as one:
        [member] = one.all
        for _ in range(2):
            member.start()
            one.complete()
            assert member.switches().keys() == {"ts"}
            member.stop()


def test_a_raft_port_in_use_is_named(tmp_path: Path) -> None:
    """The error names the port and a remedy; the other process is not disturbed."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        port = member.ports["sb-raft"]
        with socket.create_server((HOSTS[0], port)):
            said = member.refused()
        assert f"--sb-raft-port = '{port}': cannot listen on tcp:{HOSTS[0]}:{port}" in said


def test_another_database_on_a_members_port_is_named(three: Members, tmp_path: Path) -> None:
    """A member that serves something else on the port is reported; no cluster is created."""
    bootstrap, other, third = three.all
    file, schema = tmp_path / "other.db", tmp_path / "other.ovsschema"
    schema.write_text(json.dumps({"name": "Else", "version": "1.0.0", "tables": {}}))
    subprocess.run(["ovsdb-tool", "create", str(file), str(schema)], check=True)
    server = subprocess.Popen(
        ["ovsdb-server", f"--remote=ptcp:{other.ports['nb']}:{other.address}",
         f"--unixctl={tmp_path}/other.ctl", "-vconsole:off", str(file)],
    )  # fmt: skip
    try:
        bootstrap.start()
        third.start()
        bootstrap.says(f"'{HOSTS[1]}': does not have the database: it has Else")
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_members_of_two_clusters_are_named(tmp_path: Path) -> None:
    """Each created its own before the lists were made the same; both are reported."""
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
    """Members report who is in the cluster but not in their list."""
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
    ],
)
def test_bad_lists_are_named(tmp_path: Path, flags: list[str], said: str) -> None:
    """An invalid value is reported before anything starts."""
    dirs = [f"--data-dir={tmp_path}/data", f"--run-dir={tmp_path}/run"]
    done = subprocess.run(
        [str(ISTHMUS), "ic-db", "run", *dirs, *flags],
        capture_output=True, text=True, check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 1
    assert said in done.stderr


def _id_of(member: Member) -> object:
    """The id of its IC-NB server; None while that starts."""
    with suppress(subprocess.CalledProcessError):
        return member.row("nb").get("sid")
    return None


def test_a_member_keeps_its_id_until_it_is_admitted(three: Members) -> None:
    """Restarted before there is a cluster, it asks with the same id; with a new list, not."""
    member = three.all[1]
    ids = []
    for listed in (HOSTS, HOSTS, HOSTS[:2]):
        member.listed = listed
        member.start()
        wait_until(lambda: _id_of(member), "it serves", LIMIT)
        ids.append(_id_of(member))
        member.stop()
    assert ids[0] == ids[1] != ids[2]


def test_a_bootstrap_member_that_joins_may_be_interrupted(three: Members) -> None:
    """Killed while it rejoins after a lost disk, it still finds the cluster."""
    for member in three.all:
        member.start()
    three.complete()
    cid = three.all[1].cid("nb")
    bootstrap, other, third = three.all
    bootstrap.stop(signal.SIGKILL)
    bootstrap.wipe()
    other.stop()  # Without a majority no member is admitted.
    bootstrap.start()
    bootstrap.says("OVN_IC_Southbound: joining cluster")
    bootstrap.stop(signal.SIGKILL)
    bootstrap.start()
    other.start()
    three.complete()
    assert bootstrap.cid("nb") == third.cid("nb") == cid


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
def test_a_full_disk_is_reported_and_recovers(tmp_path: Path) -> None:
    """ovsdb-server is restarted, since it never writes again after a failure."""
    with members(tmp_path, HOSTS[0]) as one:
        [member] = one.all
        member.data.mkdir()
        script = f'mount -t tmpfs -o size=10m,mode=755 t {member.data} && exec "$@"'
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


def test_a_member_that_was_removed_while_down_is_reported(three: Members) -> None:
    """Its file does not show that, but the others form a majority without it."""
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


def test_a_removed_member_is_reported(three: Members) -> None:
    """While it runs and when it is restarted; its file is kept."""
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
    """The method is part of the address in the file, so it is not changed silently."""
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
    """A cluster with the schema of a later OVN is served with a warning."""
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
    """A file with nothing but a snapshot is complete."""
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

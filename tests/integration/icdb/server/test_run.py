"""`isthmus ic-db run` with real servers: start, crash, stop and invalid input."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from isthmus.exchange.zones.heartbeat import INTERVAL
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_file import prepare_database
from isthmus.icdb.local.database_server import Directories
from isthmus.icdb.raft.cluster_files import prepare_member
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.server.plan import Ports, database_servers
from isthmus.icdb.server.transit_switch_watch import CHECK_INTERVAL, TransitSwitchWatch
from isthmus.icdb.server.zone_pruning import ZonePruning
from isthmus.model.rows import Database
from support.ovn.servers import SCHEMAS

DAY = 86400

pytestmark = pytest.mark.ovn

LIMIT = 30.0
ISTHMUS = Path(sys.executable).with_name("isthmus")


def wait_for(state: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not state():
        assert time.monotonic() < deadline, f"not within {LIMIT} s: {what}"
        time.sleep(0.02)


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = [socket.create_server((address, 0), family=family) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class IcDb:
    """One `isthmus ic-db run` and its files."""

    def __init__(self, directory: Path, address: str = "127.0.0.1") -> None:
        self.data, self.run_dir = directory / "data", directory / "run"
        self.address = address
        self.nb_port, self.sb_port = free_ports(2, address)
        self.log = directory / "ic-db.log"

    def command(self, *more: str) -> list[str]:
        ports = [f"--nb-port={self.nb_port}", f"--sb-port={self.sb_port}"]
        dirs = [f"--data-dir={self.data}", f"--run-dir={self.run_dir}"]
        listen = f"--listen={self.address}"
        # Its children must end if this test is killed.
        tie = ["setpriv", "--pdeathsig", "TERM"]
        return [*tie, str(ISTHMUS), "ic-db", "run", *dirs, *ports, listen, *more]

    @contextmanager
    def running(self, *more: str) -> Iterator["subprocess.Popen[str]"]:
        """A supervisor whose databases answer; stopped with the context."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command(*more), stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready: "), self.log.read_text()
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LIMIT)

    def refused(self, *more: str) -> str:
        """The output when it cannot run."""
        done = subprocess.run(
            self.command(*more), capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        return done.stderr

    def server_pid(self, short: str) -> int:
        return int((self.run_dir / f"ovn_ic_{short}_db.pid").read_text())

    def other_pid(self, short: str, before: int) -> bool:
        # A server that starts removes the file of the one before, and then makes its own.
        with suppress(FileNotFoundError):
            return self.server_pid(short) != before
        return False

    def transact(self, operations: str, remote: str | None = None) -> list[dict[str, object]]:
        remote = remote or f"tcp:{self.address}:{self.nb_port}"
        command = ["ovsdb-client", "--timeout=10", "transact", remote, operations]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result: list[dict[str, object]] = json.loads(done.stdout)
        return result

    def transit_switches(self, remote: str | None = None) -> dict[str, dict[str, str]]:
        select = {"op": "select", "table": "Transit_Switch", "where": []}
        [result] = self.transact(json.dumps(["OVN_IC_Northbound", select]), remote)
        rows = result["rows"]
        assert isinstance(rows, list)
        return {row["name"]: dict(row["external_ids"][1]) for row in rows}

    def add_transit_switch(self, name: str, **ids: str) -> None:
        row = {"name": name, "external_ids": ["map", list(map(list, ids.items()))]}
        insert = {"op": "insert", "table": "Transit_Switch", "row": row}
        self.transact(json.dumps(["OVN_IC_Northbound", insert]))


@pytest.fixture
def ic_db(tmp_path: Path) -> IcDb:
    return IcDb(tmp_path)


def gone(pid: int) -> bool:
    """Whether a process has ended; in a container, orphans may stay as zombies."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_serves_both_databases(ic_db: IcDb) -> None:
    """Both answer on their ports and sockets, with the default transit switch."""
    with ic_db.running():
        expected = {"ts": {"subnet": "169.254.100.0/24", "vendor": "kube-ovn"}}
        assert ic_db.transit_switches() == expected
        assert ic_db.transit_switches(f"unix:{ic_db.run_dir}/ovn_ic_nb_db.sock") == expected
        empty = '["OVN_IC_Southbound"]'
        assert ic_db.transact(empty, f"tcp:127.0.0.1:{ic_db.sb_port}") == []
        assert ic_db.transact(empty, f"unix:{ic_db.run_dir}/ovn_ic_sb_db.sock") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly(ic_db: IcDb, number: signal.Signals) -> None:
    """A signal ends it with status 0, and no process, socket or pid file stays."""
    with ic_db.running() as process:
        pids = [ic_db.server_pid("nb"), ic_db.server_pid("sb")]
        process.send_signal(number)
        assert process.wait(LIMIT) == 0
    assert all(map(gone, pids))
    assert {path.suffix for path in ic_db.run_dir.iterdir()} == {".lock", ".log"}


def test_comes_back_with_its_data(ic_db: IcDb) -> None:
    """Restarted, it has the rows that clients wrote, and adds only what is missing."""
    with ic_db.running():
        ic_db.add_transit_switch("foreign")
    with ic_db.running("--transit-switch=ts1=169.254.101.0/24,fe80:a9fe:65::/112"):
        switches = ic_db.transit_switches()
        assert set(switches) == {"ts", "foreign", "ts1"}
        assert switches["foreign"] == {}
        assert switches["ts1"]["subnet"] == "169.254.101.0/24,fe80:a9fe:65::/112"


def test_a_transit_switch_that_is_deleted_by_hand_is_reported(
    ic_db: IcDb, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with what to do; an outage of the server is not a deletion."""
    clock = [0.0]
    watch = TransitSwitchWatch(f"tcp:{ic_db.address}:{ic_db.nb_port}", clock=lambda: clock[0])

    def check() -> int:
        clock[0] += CHECK_INTERVAL
        watch.check()
        return caplog.text.count("transit switch gone was deleted")

    with ic_db.running():
        ic_db.add_transit_switch("gone")
        assert check() == 0
    assert check() == 0
    with ic_db.running():
        delete = {"op": "delete", "table": "Transit_Switch", "where": [["name", "==", "gone"]]}
        remote = f"tcp:{ic_db.address}:{ic_db.nb_port}"
        ic_db.transact(json.dumps(["OVN_IC_Northbound", delete]), remote)
        assert [check(), check()] == [1, 1]
        assert "transit switch ts was deleted" not in caplog.text


def test_prunes_zones_if_asked_to(ic_db: IcDb, caplog: pytest.LogCaptureFixture) -> None:
    """Only one that was watched while others lived; not after an outage, nor by a wrong clock."""
    sb = f"tcp:{ic_db.address}:{ic_db.sb_port}"
    remotes = {Database.IC_NB: f"tcp:{ic_db.address}:{ic_db.nb_port}", Database.IC_SB: sb}
    now, clock = [1_800_000_000], [0.0]
    pruning = ZonePruning(remotes, DAY, clock=lambda: clock[0], time_of_day=lambda: now[0])

    def transact(*operations: dict[str, object]) -> list[dict[str, Any]]:
        text = json.dumps(["OVN_IC_Southbound", *operations])
        return cast("list[dict[str, Any]]", ic_db.transact(text, sb))

    def zones() -> set[str]:
        [result] = transact({"op": "select", "table": "Availability_Zone", "where": []})
        return {row["name"] for row in result["rows"]}

    def beat(*names: str, at: int) -> None:
        keys = [f"isthmus-alive-{name}" for name in names]
        mutations = [
            ["external_ids", "delete", ["set", keys]],
            ["external_ids", "insert", ["map", [[key, str(at)] for key in keys]]],
        ]
        transact({"op": "mutate", "table": "IC_SB_Global", "where": [], "mutations": mutations})

    def watch(*living: str, ahead: int = 0) -> None:
        for _ in range(5):
            clock[0] += INTERVAL / 2
            now[0] += INTERVAL // 2
            if living:
                beat(*living, at=now[0] - ahead)
            pruning.check()

    names = ("az1", "az2", "az3", "dead", "unknown")
    rows: list[dict[str, object]] = [
        {"op": "insert", "table": "Availability_Zone", "row": {"name": n}} for n in names
    ]
    with ic_db.running("--prune-zones-after=4000"):
        transact(*rows, {"op": "insert", "table": "IC_SB_Global", "row": {}})
        beat("az1", "az2", "az3", "dead", at=now[0] - 3 * DAY)
        pruning.check()
        watch()  # all look dead: the databases were down for three days
        assert zones() == set(names)
        watch("az1", "az2", "az3", ahead=2 * DAY)  # our clock is ahead
        assert zones() == set(names)
    pruning.check()
    clock[0] += INTERVAL / 2
    pruning.check()  # no answer: the watch starts again
    with ic_db.running("--prune-zones-after=4000"):
        clock[0] += INTERVAL / 2
        beat("az1", at=now[0])
        pruning.check()
        assert zones() == set(names)
        watch("az1", "az2", "az3")
        assert zones() == set(names) - {"dead"}
        assert "zone pruned: dead" in caplog.text
        assert "zone pruned" not in ic_db.log.read_text()


def test_listens_on_ipv6(tmp_path: Path) -> None:
    """An IPv6 address works like any other."""
    ic_db = IcDb(tmp_path, "::1")
    with ic_db.running():
        assert set(ic_db.transit_switches(f"tcp:[::1]:{ic_db.nb_port}")) == {"ts"}


def test_notifies_systemd_when_it_is_ready(ic_db: IcDb, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 comes when the databases answer."""
    path = ic_db.log.with_name("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(path))
        notified.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        with ic_db.running():
            assert notified.recv(64) == b"READY=1"


@pytest.mark.parametrize("short", ["nb", "sb"])
def test_a_dead_server_is_restarted(ic_db: IcDb, short: str) -> None:
    """A killed server is restarted with its data, and its end is logged."""
    with ic_db.running():
        ic_db.add_transit_switch("kept")
        before = ic_db.server_pid(short)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: ic_db.other_pid(short, before), "another server process")
        remote = f"unix:{ic_db.run_dir}/ovn_ic_{short}_db.sock"
        wait_for(lambda: _answers(remote), "the server answers")
        assert set(ic_db.transit_switches()) == {"ts", "kept"}
    assert f"ovsdb-server-ic-{short} ended with signal SIGKILL" in ic_db.log.read_text()


def _answers(remote: str) -> bool:
    command = ["ovsdb-client", "--timeout=1", "list-dbs", remote]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_server_that_is_killed_as_it_starts_is_restarted(
    ic_db: IcDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed before it answers, as by the OOM killer, is restarted."""
    real = shutil.which("ovsdb-server")
    programs, killed = tmp_path / "programs", tmp_path / "killed"
    programs.mkdir()
    first = programs / "ovsdb-server"
    # Killed only at the first start, for either database.
    first.write_text(f'#!/bin/sh\nmkdir {killed} 2>&- && kill -9 $$\nexec {real} "$@"\n')
    first.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with ic_db.running():
        assert killed.exists()
        assert ic_db.transit_switches().keys() == {"ts"}
        logged = ic_db.log.read_text()
        assert "ended with signal SIGKILL" in logged
        assert "restarted" in logged


def test_servers_die_with_their_supervisor(ic_db: IcDb) -> None:
    """After kill -9 nothing runs, and a restart works at once."""
    with ic_db.running() as process:
        ic_db.add_transit_switch("kept")
        pids = [ic_db.server_pid("nb"), ic_db.server_pid("sb")]
        process.kill()
        process.wait(LIMIT)
        with ic_db.running():
            assert all(map(gone, pids))
            assert set(ic_db.transit_switches()) == {"ts", "kept"}


@pytest.mark.parametrize("directory", ["data", "run_dir"])
def test_a_directory_in_use_is_refused(ic_db: IcDb, tmp_path: Path, directory: str) -> None:
    """The error of a second supervisor names the process that uses the directory."""
    other = IcDb(tmp_path / "other")
    setattr(other, directory, getattr(ic_db, directory))
    with ic_db.running() as process:
        said = other.refused()
        assert f"is in use by another `isthmus ic-db run` (process {process.pid})" in said
        assert set(ic_db.transit_switches()) == {"ts"}


def test_a_port_in_use_is_named(ic_db: IcDb) -> None:
    """The error names the port and a remedy; the other process is not disturbed."""
    with socket.create_server(("127.0.0.1", ic_db.sb_port)):
        said = ic_db.refused()
    assert f"--sb-port = '{ic_db.sb_port}': cannot listen on tcp:127.0.0.1:{ic_db.sb_port}" in said
    assert "give another port" in said


def test_a_foreign_address_is_named(ic_db: IcDb) -> None:
    """An address of another machine cannot be listened on."""
    assert "--listen = '192.0.2.1': is not an address of this machine" in ic_db.refused(
        "--listen=192.0.2.1", "--insecure"
    )


def test_an_unusable_directory_is_named(ic_db: IcDb) -> None:
    """A data directory that is a file is named."""
    ic_db.data.write_text("")
    said = ic_db.refused()
    assert f"--data-dir = '{ic_db.data}': cannot be written to: File exists" in said


def test_an_unusable_log_is_named(ic_db: IcDb, tmp_path: Path) -> None:
    """A log that is a directory, as an example of what cannot be written to."""
    log = tmp_path / "logs/ovsdb-server-ic-nb.log"
    log.mkdir(parents=True)
    said = ic_db.refused(f"--log-dir={log.parent}")
    assert f"--log-dir = '{log}': cannot be written to: Is a directory" in said


def test_a_disk_that_is_nearly_full_is_named(
    ic_db: IcDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves and reports it, even if not a byte is free."""
    ic_db.data.mkdir()
    with ic_db.running():
        pass
    mounted = shutil.copytree(ic_db.data, tmp_path / "copy")
    filled = f"dd if=/dev/zero of={ic_db.data}/filler bs=1k 2>&- || true"
    script = f"mount -t tmpfs -o size=1m t {ic_db.data} && cp -a {mounted}/. {ic_db.data}"
    command = ic_db.command()

    def on_a_full_disk(*_: str) -> list[str]:
        return [
            "unshare",
            "--mount",
            "sh",
            "-c",
            f'{script} && {filled}; exec "$@"',
            "sh",
            *command,
        ]

    monkeypatch.setattr(ic_db, "command", on_a_full_disk)
    with ic_db.running():
        wait_for(lambda: "its disk is nearly full; 0 KiB" in ic_db.log.read_text(), "it is logged")
        status = [str(ISTHMUS), "ic-db", "status", *command[6:10], "-o", "json"]
        inside = ["nsenter", f"--mount=/proc/{ic_db.server_pid('nb')}/ns/mnt"]
        done = subprocess.run([*inside, *status], capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        for database in json.loads(done.stdout)["databases"]:
            assert "is nearly full: 0 KiB are free" in database["problems"][0]


def test_a_file_of_another_user_is_not_called_damaged() -> None:
    """A file that cannot be read is reported as such, and kept."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    membership = Membership("127.0.0.1", ("127.0.0.1",), "127.0.0.1")
    # Not below pytest's own directory, which other users may not enter.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        files = Directories(Path(directory), Path(directory), SCHEMAS)
        server, _ = database_servers(files, ip_address("127.0.0.1"), Ports())
        prepare_database(server)
        Path(server.database_file).chmod(0o600)
        before = Path(server.database_file).read_bytes()
        os.seteuid(65534)
        try:
            for prepare in (prepare_database, partial(prepare_member, membership=membership)):
                with pytest.raises(IcDbError, match="cannot be read and written by this user"):
                    prepare(server)
        finally:
            os.seteuid(0)
        assert Path(server.database_file).read_bytes() == before


def test_missing_schemas_name_the_package(ic_db: IcDb, tmp_path: Path) -> None:
    """On a machine without OVN, the package to install is named."""
    assert "apt-get install ovn-ic-db" in ic_db.refused(f"--schema-dir={tmp_path}")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--transit-switch=ts", "--transit-switch = 'ts': is not NAME=CIDR[,CIDR6]"),
        ("--transit-switch=ts=300.0.0.0/8", "'300.0.0.0/8' is not a CIDR"),
        ("--listen=localhost", "--listen = 'localhost': is not an IP address"),
    ],
)
def test_bad_flags_are_named(ic_db: IcDb, flag: str, said: str) -> None:
    """An invalid value is reported before anything is created."""
    assert said in ic_db.refused(flag)
    assert not ic_db.data.exists()


def test_an_existing_subnet_is_reported_and_kept(ic_db: IcDb) -> None:
    """Another subnet for a switch that exists is a warning; the databases are served."""
    with ic_db.running():
        pass
    with ic_db.running("--transit-switch=ts=10.9.0.0/24"):
        assert ic_db.transit_switches()["ts"]["subnet"] == "169.254.100.0/24"
    assert "and is not changed to 10.9.0.0/24" in ic_db.log.read_text()


def test_an_overlapping_switch_is_reported_and_not_created(ic_db: IcDb) -> None:
    """As with `transit-switch add`: it overlaps a zone's subnet or another switch's."""
    with ic_db.running():
        switch, zone = "ts", "az1"
        row = {
            "transit_switch": switch, "availability_zone": ["named-uuid", zone],
            "ip_prefix": "10.16.0.0/16", "nexthop": "169.254.100.2", "origin": "connected",
        }  # fmt: skip
        name = {"op": "insert", "table": "Availability_Zone", "row": {"name": zone}}
        operations = [{**name, "uuid-name": zone}, {"op": "insert", "table": "Route", "row": row}]
        text = json.dumps(["OVN_IC_Southbound", *operations])
        ic_db.transact(text, f"tcp:{ic_db.address}:{ic_db.sb_port}")
    more = ["x1=10.16.5.0/24", "x2=169.254.100.128/25", "x3=169.254.103.0/24"]
    with ic_db.running(*(f"--transit-switch={text}" for text in more)):
        assert ic_db.transit_switches().keys() == {"ts", "x3"}
    logged = ic_db.log.read_text()
    assert "transit switch x1: subnet = '10.16.5.0/24': overlaps 10.16.0.0/16, which zone" in logged
    assert "transit switch x2: subnet = '169.254.100.128/25': overlaps 169.254.100.0/24" in logged


def test_a_foreign_switch_of_the_same_name_is_an_error(ic_db: IcDb) -> None:
    """A transit switch of another vendor is neither adopted nor changed."""
    with ic_db.running():
        ic_db.add_transit_switch("taken", vendor="acme")
    said = ic_db.refused("--transit-switch=taken=10.9.0.0/24")
    assert "is the name of another vendor's transit switch" in said
    with ic_db.running():
        assert ic_db.transit_switches()["taken"] == {"vendor": "acme"}


def _make(ic_db: IcDb) -> Path:
    with ic_db.running("--transit-switch=ts=10.0.0.0/24", "--transit-switch=ts1=10.0.1.0/24"):
        ic_db.add_transit_switch("last")
    return ic_db.data / "ovn_ic_nb_db.db"


def test_another_database_in_the_file_is_named(ic_db: IcDb) -> None:
    """The file of one database is not served as another."""
    file = _make(ic_db)
    file.write_bytes((ic_db.data / "ovn_ic_sb_db.db").read_bytes())
    said = ic_db.refused()
    assert f"'{file}': holds the database OVN_IC_Southbound, not OVN_IC_Northbound" in said


def test_a_clustered_database_is_named(ic_db: IcDb) -> None:
    """A member of a Raft cluster is not served as if it stood alone."""
    file = _make(ic_db)
    file.unlink()
    schema = "/usr/share/ovn/ovn-ic-nb.ovsschema"
    create = ["ovsdb-tool", "create-cluster", str(file), schema, "tcp:127.0.0.1:6647"]
    subprocess.run(create, check=True)
    said = ic_db.refused()
    assert "is a member of a Raft cluster, but no members are given" in said
    assert "NODE_IPS" in said


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"garbage\n",
        lambda content: content.replace(b'"ts1"', b'"tsX"'),
        lambda content: content + bytes(512),
    ],
    ids=["not a database", "a bit has changed", "zeros at the end"],
)
def test_a_damaged_file_is_named(ic_db: IcDb, spoil: Callable[[bytes], bytes]) -> None:
    """A damaged file is not served, since rows after the damage would be missing."""
    file = _make(ic_db)
    file.write_bytes(spoil(file.read_bytes()))
    said = ic_db.refused()
    assert f"'{file}': is damaged: " in said
    assert "restore it from a backup" in said


def test_an_unfinished_last_transaction_is_dropped(ic_db: IcDb) -> None:
    """After a power failure the file is served without the incomplete transaction."""
    file = _make(ic_db)
    whole = file.read_bytes()
    for rest in (whole[:-10], whole[: whole.rindex(b"\nOVSDB") + 9]):
        file.write_bytes(rest)
        ic_db.log.write_text("")
        with ic_db.running():
            assert set(ic_db.transit_switches()) == {"ts", "ts1"}
        assert "the last transaction is incomplete" in ic_db.log.read_text()


def test_an_empty_file_is_replaced(ic_db: IcDb) -> None:
    """An empty file is left by an interrupted creation, and is replaced."""
    ic_db.data.mkdir()
    (ic_db.data / "ovn_ic_nb_db.db").touch()
    with ic_db.running():
        assert set(ic_db.transit_switches()) == {"ts"}


def test_an_older_schema_is_converted(ic_db: IcDb, tmp_path: Path) -> None:
    """After an upgrade of OVN, the data are kept and the new columns exist."""
    ic_db.data.mkdir()
    schema = json.loads(Path("/usr/share/ovn/ovn-ic-nb.ovsschema").read_text())
    del schema["tables"]["Transit_Switch"]["columns"]["other_config"], schema["cksum"]
    old = tmp_path / "old.ovsschema"
    old.write_text(json.dumps(schema | {"version": "0.9.0"}))
    file = str(ic_db.data / "ovn_ic_nb_db.db")
    insert = {"op": "insert", "table": "Transit_Switch", "row": {"name": "kept"}}
    subprocess.run(["ovsdb-tool", "create", file, str(old)], check=True)
    transaction = json.dumps(["OVN_IC_Northbound", insert])
    subprocess.run(["ovsdb-tool", "transact", file, transaction], check=True, capture_output=True)
    with ic_db.running():
        assert set(ic_db.transit_switches()) == {"ts", "kept"}

"""`isthmus ovn-ic` as a process: what scripts, `ovn-appctl` and operators expect of `ovn-ic`."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model.rows import Database
from support.ovn.sandbox import Sandbox
from support.ovn.servers import RealFleet, RealZone, fleet_in, wait_until

pytestmark = pytest.mark.ovn

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|\d{5}\|[a-z_]+\|(EMER|ERR|WARN|INFO|DBG)\|.+"
)
OVN_CTL = Path("/usr/share/ovn/scripts/ovn-ctl")
CONNECTIONS = ("nb", "sb", "ic-nb", "ic-sb")


class OvnIc:
    """Isthmus under the name `ovn-ic`, with directories of its own, for one zone."""

    def __init__(self, directory: Path, remotes: dict[Database, str]) -> None:
        self.directory = directory
        self.binaries = directory / "bin"
        self.binaries.mkdir(parents=True)
        (self.binaries / "ovn-ic").symlink_to(Path(sys.executable).with_name("isthmus"))
        names = ("OVS_RUNDIR", "OVN_RUNDIR", "OVS_LOGDIR", "OVN_LOGDIR", "OVN_DBDIR")
        variables = {
            Database.NB: "OVN_NB_DB",
            Database.SB: "OVN_SB_DB",
            Database.IC_NB: "OVN_IC_NB_DB",
            Database.IC_SB: "OVN_IC_SB_DB",
        }
        self.sandbox = Sandbox(
            {
                **dict.fromkeys(names, str(directory)),
                **{variables[database]: remote for database, remote in remotes.items()},
                "OVN_SYSCONFDIR": str(directory),
                "PATH": f"{self.binaries}:/usr/sbin:/usr/bin:/sbin:/bin",
                "OVS_SYSLOG_METHOD": "null",
            }
        )

    def detach(self, *options: str) -> None:
        """Start it in the background, as a script does; returns when the starter has ended."""
        self.sandbox.run(
            "ovn-ic", "--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off", *options
        )

    def ask(self, *command: str, check: bool = True) -> str:
        """Send a control command; its answer, or its error if `check` is False."""
        done = self.sandbox.run("ovn-appctl", "-t", "ovn-ic", *command, check=check)
        return (done.stdout if done.returncode == 0 else done.stderr).strip()

    @property
    def pid(self) -> int:
        """Its process ID, from its pidfile."""
        return int((self.directory / "ovn-ic.pid").read_text())

    @property
    def log(self) -> str:
        """The content of its log."""
        return (self.directory / "ovn-ic.log").read_text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.sandbox.run("kill", f"-{number}", str(self.pid))

    def gone(self) -> bool:
        """Whether none of its processes runs."""
        return not self.sandbox.processes()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RealFleet]:
    """Two zones that advertise and learn; az2 is run by the real ovn-ic."""
    with fleet_in(tmp_path) as fleet:
        fleet.add_ts("ts")
        for number, name in enumerate(("az1", "az2"), start=1):
            zone = fleet.add_zone(name)
            options = [f"options:ic-route-{what}=true" for what in ("adv", "learn")]
            zone.nbctl("set", "NB_Global", ".", *options)
            zone.add_subnet("net", f"10.{number}.0.1/16")
        two = fleet.zones[1]
        two.start_ovn_ic()
        two.join("ts", "169.254.100.2/24")
        yield fleet


@pytest.fixture
def zone(fleet: RealFleet) -> RealZone:
    """The zone that Isthmus runs."""
    return fleet.zones[0]


@pytest.fixture
def daemon(zone: RealZone, tmp_path: Path) -> Iterator[OvnIc]:
    """The daemon, not started yet."""
    found = OvnIc(tmp_path / "ovn", zone.remotes)
    with found.sandbox:
        yield found


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[OvnIc]:
    """The daemon, not started yet, with databases that do not exist."""
    found = OvnIc(tmp_path / "ovn", {})
    with found.sandbox:
        yield found


def active(daemon: OvnIc) -> bool:
    """Whether it is the active daemon of the zone."""
    return daemon.ask("status") == "Status: active"


def learned(zone: RealZone, prefix: str) -> bool:
    """Whether a zone has a learned route."""
    return prefix in zone.learned()


def test_it_is_ovn_ic_to_ovn_appctl(zone: RealZone, daemon: OvnIc) -> None:
    """In the background it has ovn-ic's files and answers ovn-ic's commands; `exit` ends it."""
    daemon.detach()
    wait_until(lambda: active(daemon), "it holds the lock")
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "and does its work")
    assert (daemon.directory / f"ovn-ic.{daemon.pid}.ctl").is_socket()
    for name in CONNECTIONS:
        assert daemon.ask(f"{name}-connection-status") == "connected"
    zone.ic.stop("ovn-ic-sb")
    wait_until(lambda: daemon.ask("ic-sb-connection-status") == "not connected", "noticed")
    assert active(daemon)
    assert daemon.ask("version").startswith("ovn-ic ")
    assert "pause" in daemon.ask("list-commands")
    pid = daemon.pid
    assert daemon.ask("exit") == ""
    wait_until(daemon.gone, "it ends")
    left = {path.name for path in daemon.directory.iterdir()}
    assert left == {"bin", "ovn-ic.log"}, pid
    assert learned(zone, "10.2.0.0/16"), "and withdraws nothing"


def test_wrong_commands_are_answered(alone: OvnIc) -> None:
    """Commands that do not exist, or have too few arguments, get ovn-appctl's usual errors."""
    alone.detach()
    assert '"nonsense" is not a valid command' in alone.ask("nonsense", check=False)
    assert "requires at least 1 arguments" in alone.ask("vlog/set", check=False)
    assert "takes at most 0 arguments" in alone.ask("status", "now", check=False)
    assert 'no destination, level, or module "loud"' in alone.ask("vlog/set", "loud", check=False)
    assert alone.ask("status") == "Status: standby"


def test_detaching_waits_for_no_database(alone: OvnIc) -> None:
    """The starter returns when control commands are answered, whether databases are up or not."""
    alone.detach()
    assert alone.ask("sb-connection-status") == "not connected"


def test_a_pidfile_in_use_is_refused(alone: OvnIc) -> None:
    """A second daemon with the same pidfile ends with status 1 and names the first one."""
    alone.detach()
    second = alone.sandbox.run("ovn-ic", "--detach", "--pidfile", check=False)
    assert second.returncode == 1
    assert f"already running as pid {alone.pid}" in second.stderr
    alone.ask("status")


def test_a_stale_pidfile_is_replaced(alone: OvnIc) -> None:
    """After kill -9 the daemon starts again in spite of leftover files."""
    alone.detach()
    alone.signal(signal.SIGKILL)
    wait_until(alone.gone, "it is dead")
    alone.detach()
    assert alone.ask("is-paused") == "false"


def test_the_monitor_restarts_after_a_fault(alone: OvnIc) -> None:
    """With --monitor, a signal that means a crash restarts the daemon; `exit` ends both."""
    alone.detach("--monitor")
    first = alone.pid
    alone.signal(signal.SIGSEGV)

    def restarted() -> bool:
        answer = alone.sandbox.run("ovn-appctl", "-t", "ovn-ic", "status", check=False)
        return answer.returncode == 0 and alone.pid != first

    wait_until(restarted, "a new process answers")
    assert f"pid {first} died, killed" in alone.log
    alone.ask("exit")
    wait_until(alone.gone, "both end")


@pytest.mark.parametrize("how", ["exit", "SIGTERM"])
def test_it_ends_cleanly(how: str, alone: OvnIc) -> None:
    """`exit` and SIGTERM end the daemon with status 0, in the foreground too."""
    process = alone.sandbox.start("ovn-ic", "--pidfile", "-vconsole:off")
    wait_until(lambda: alone.ask("is-paused", check=False) == "false", "it answers")
    if how == "exit":
        alone.ask("exit")
    else:
        alone.signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert alone.gone()


def test_pausing_leaves_the_work_to_others(zone: RealZone, daemon: OvnIc) -> None:
    """A paused daemon leaves the lock to another one; resumed, it waits for the lock."""
    daemon.detach()
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "it works")
    daemon.ask("pause")
    assert (daemon.ask("is-paused"), daemon.ask("status")) == ("true", "Status: paused")
    zone.start_ovn_ic()
    wait_until(lambda: "Status: active" in appctl(zone, "ovn-ic", "status"), "another has the lock")
    daemon.ask("resume")
    assert daemon.ask("status") == "Status: standby"
    assert daemon.ask("is-paused") == "false"
    zone.servers.stop("ovn-ic")
    wait_until(lambda: active(daemon), "it has the lock again")
    zone.nbctl("lr-route-del", "r")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "and works again")


def appctl(zone: RealZone, name: str, command: str) -> str:
    """Send a command to the real ovn-ic, which has no pidfile."""
    socket = zone.servers.directory / f"{name}.{zone.servers.pid(name)}.ctl"
    done = subprocess.run(
        ["ovn-appctl", "-t", str(socket), command], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_paused_it_writes_nothing(zone: RealZone, daemon: OvnIc) -> None:
    """Changes during a pause are written when the daemon is resumed, and not before."""
    daemon.detach()
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "it works")
    daemon.ask("pause")
    zone.add_subnet("late", "10.77.0.1/16")
    zone.nbctl("lr-route-del", "r")
    # Its own view is current: it answers only after having taken in what came before.
    assert daemon.ask("status") == "Status: paused"
    assert not zone.learned()
    routes = ("--bare", "--columns=ip_prefix", "list", "route")
    assert "10.77" not in zone.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *routes)
    daemon.ask("resume")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "learned again")
    wait_until(
        lambda: "10.77" in zone.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *routes), "advertised"
    )


def test_pausing_in_the_middle_of_work(fleet: RealFleet, zone: RealZone, daemon: OvnIc) -> None:
    """Transactions sent before `pause` end before another daemon has the lock, exactly once."""
    daemon.detach("-vfile:dbg")
    zone.join("ts", "169.254.100.1/24")
    wait_until(lambda: learned(zone, "10.2.0.0/16"), "it works")
    before = daemon.log.count("learned routes")
    zone.servers.signal("ovn-nb", signal.SIGSTOP)
    try:
        for number in range(20):
            fleet.zones[1].add_subnet(f"late{number}", f"10.{100 + number}.0.1/16")
        wait_until(lambda: daemon.log.count("learned routes") > before, "a transaction is sent")
        daemon.ask("pause")
        assert daemon.ask("status") == "Status: paused"
        zone.start_ovn_ic()
    finally:
        zone.servers.signal("ovn-nb", signal.SIGCONT)
    wait_until(lambda: "Status: active" in appctl(zone, "ovn-ic", "status"), "another has the lock")
    wait_until(lambda: len(zone.learned()) == 21, "which does the rest")
    columns = ("--bare", "--columns=ip_prefix", "list", "Logical_Router_Static_Route")
    assert len(zone.nbctl(*columns).split()) == 21


def test_the_log_is_that_of_an_ovs_daemon(alone: OvnIc) -> None:
    """Log lines have OVS's format; levels change at run time; rotation starts a new file."""
    alone.detach()
    alone.ask("vlog/set", "ovn_ic:file:dbg")
    assert re.search(r"^ovn_ic +OFF +INFO +DBG$", alone.ask("vlog/list"), re.MULTILINE)
    assert re.search(r"^reconnect +OFF +INFO +INFO$", alone.ask("vlog/list"), re.MULTILINE)
    lines = alone.log.splitlines()
    assert lines
    assert all(LINE.fullmatch(line) for line in lines), lines
    log = alone.directory / "ovn-ic.log"
    log.rename(log.with_suffix(".old"))
    assert alone.ask("vlog/reopen") == ""
    assert "opened log file" in alone.log
    alone.ask("vlog/set", "PATTERN:file:%p %m")
    alone.ask("exit")
    wait_until(alone.gone, "it ends")
    assert alone.log.splitlines()[-1].startswith("INFO stopping on control command exit")


def test_names_can_be_chosen(alone: OvnIc) -> None:
    """Pidfile, log and socket can be anywhere; relative names are in OVN's directories."""
    socket = alone.directory / "my.ctl"
    alone.sandbox.run(
        "ovn-ic", "--detach", "--pidfile=my.pid", f"--log-file={alone.directory}/my.log",
        "--unixctl=my.ctl", "-vconsole:emer", "-vsyslog:off", "-vfile:info",
    )  # fmt: skip
    assert alone.sandbox.run("ovn-appctl", "-t", str(socket), "version").stdout
    alone.sandbox.run("ovn-appctl", "-t", str(socket), "exit")
    wait_until(alone.gone, "it ends")
    assert (alone.directory / "my.log").exists()
    assert not (alone.directory / "my.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_becomes_another_user() -> None:
    """With --user, process and files belong to that user; an unknown user is an error."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "ovn"
        found = OvnIc(directory, {})
        for path in (Path(name), directory):
            path.chmod(0o755)
        shutil.chown(directory, "nobody")
        with found.sandbox:
            found.detach("--user=nobody")
            files = [directory / "ovn-ic.log", directory / "ovn-ic.pid"]
            assert [path.owner() for path in files] == ["nobody", "nobody"]
            owner = found.sandbox.run("ps", "-o", "user=,comm=", "-p", str(found.pid)).stdout
            assert owner.split() == ["nobody", "ovn-ic"]
            assert found.ask("vlog/reopen") == ""
            refused = found.sandbox.run("ovn-ic", "--user=no-such-user", check=False)
            assert refused.returncode == 1
            assert "no-such-user: no such user or group" in refused.stderr


@pytest.mark.skipif(not OVN_CTL.exists(), reason="ovn-ctl is not installed")
def test_ovn_ctl_starts_and_stops_it(zone: RealZone, daemon: OvnIc) -> None:
    """OVN's own start script runs and stops the daemon in place of ovn-ic."""
    remotes = zone.remotes
    flags = [
        f"--ovn-northd-nb-db={remotes[Database.NB]}",
        f"--ovn-northd-sb-db={remotes[Database.SB]}",
        f"--ovn-ic-nb-db={remotes[Database.IC_NB]}",
        f"--ovn-ic-sb-db={remotes[Database.IC_SB]}",
    ]
    daemon.sandbox.run(str(OVN_CTL), *flags, "start_ic")
    wait_until(lambda: active(daemon), "it holds the lock")
    assert "ovn-ic is running with pid" in daemon.sandbox.run(str(OVN_CTL), "status_ic").stdout
    again = daemon.sandbox.run(str(OVN_CTL), *flags, "start_ic").stdout
    assert "already running" in again
    stopped = daemon.sandbox.run(str(OVN_CTL), "stop_ic")
    assert "Exiting ovn-ic" in stopped.stdout
    assert "Killing" not in stopped.stdout
    wait_until(daemon.gone, "the monitor ends too")


def test_probes_are_set_while_it_runs(zone: RealZone, daemon: OvnIc) -> None:
    """`ic_probe_interval` in IC_NB_Global finds a server that hangs, on a unix socket too."""
    daemon.detach()
    wait_until(lambda: daemon.ask("ic-sb-connection-status") == "connected", "connected")
    zone.ic.ctl("ovn-ic-nbctl", Database.IC_NB, "init")
    zone.ic.ctl(
        "ovn-ic-nbctl", Database.IC_NB, "set", "IC_NB_Global", ".", "options:ic_probe_interval=1000"
    )
    zone.ic.signal("ovn-ic-sb", signal.SIGSTOP)
    try:
        wait_until(lambda: daemon.ask("ic-sb-connection-status") == "not connected", "noticed")
        assert daemon.ask("sb-connection-status") == "connected"
    finally:
        zone.ic.signal("ovn-ic-sb", signal.SIGCONT)
    wait_until(lambda: daemon.ask("ic-sb-connection-status") == "connected", "and back")


def test_a_bad_probe_interval_is_named(zone: RealZone, daemon: OvnIc) -> None:
    """A probe interval that is not a number is a problem in the log, without other effects."""
    daemon.detach()
    wait_until(lambda: active(daemon), "it works")
    zone.nbctl("set", "NB_Global", ".", "options:ic_probe_interval=often")
    wait_until(
        lambda: "options:ic_probe_interval = 'often'" in daemon.log, "the problem is reported"
    )
    assert active(daemon)

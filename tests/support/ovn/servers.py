"""Real OVN databases and daemons for tests, on unix sockets in a temporary directory.

No namespaces and no data path: only what reconcilers, sessions and `ovn-ic` need. All processes are
children of the test, stopped by PID, and end with the test (PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from isthmus.model.rows import Database


class Installation:
    """The location of OVN's programs and schemas: the system, or a directory with another version.

    Args:
        root: the root directory of a Debian system (built by scripts/ovn-matrix.sh), or None for
            this system. Its programs run with their own loader and libraries, not in a chroot, so
            paths of sockets and files stay the same.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.schemas = Path("/usr/share/ovn") if root is None else root / "usr/share/ovn"

    def command(self, program: str) -> list[str]:
        """The command prefix for a program: its name, or the loader and the file in the root."""
        if self._root is None or "/" in program:
            return [program]
        places = (self._root / place / program for place in ("usr/bin", "usr/sbin"))
        file = next((str(place) for place in places if place.exists()), None)
        if file is None:
            return [program]  # not a program of OVN, e.g. the interpreter that runs our engine
        loader = next(self._root.glob("lib64/ld-linux-*.so.*"))
        libraries = ":".join(str(path) for path in self._root.glob("usr/lib/*-linux-gnu"))
        return [str(loader), "--library-path", libraries, file]

    def version(self) -> str:
        """The version of OVN, e.g. "23.03.1"."""
        return run_program(self, "ovn-ic", "--version").splitlines()[0].split()[-1]


def run_program(installation: Installation, program: str, *arguments: str) -> str:
    """Run a program of OVN and return its output."""
    command = [*installation.command(program), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


_root = os.environ.get("ISTHMUS_OVN_ROOT")
INSTALLATION = Installation(Path(_root) if _root else None)
"""The installation under test, selected by ISTHMUS_OVN_ROOT."""

SCHEMAS = INSTALLATION.schemas
FILES = {
    Database.NB: "ovn-nb",
    Database.SB: "ovn-sb",
    Database.IC_NB: "ovn-ic-nb",
    Database.IC_SB: "ovn-ic-sb",
}
LIMIT = 30.0
"""Seconds to wait for any state: far longer than it takes, so only a fault exceeds it."""

_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Let the kernel kill a child when its parent exits; for `preexec_fn`."""
    _libc.prctl(1, signal.SIGKILL)


def wait_until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Poll for a state.

    Raises:
        AssertionError: it was not reached within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit:g} s in vain: {what}"
        time.sleep(0.02)


class Processes:
    """Child processes of the test, each with a log file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        """Start a program in the foreground."""
        environment = {**os.environ, **self._environment(), **(env or {})}
        with (self.directory / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [*INSTALLATION.command(command[0]), *command[1:]],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the test has one thread here
            )

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Stop a program, wait for its end, and return its exit status."""
        child = self._children.pop(name)
        child.send_signal(number)
        try:
            return child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise

    def signal(self, name: str, number: int) -> None:
        """Send a signal."""
        self._children[name].send_signal(number)

    def alive(self, name: str) -> bool:
        """Whether a program is still running."""
        return name in self._children and self._children[name].poll() is None

    def pid(self, name: str) -> int:
        """The process ID of a program."""
        return self._children[name].pid

    def log(self, name: str) -> str:
        """The output of a program so far."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop_all(self) -> None:
        """Stop all running programs, the latest first."""
        for child in reversed(self._children.values()):
            child.kill()
        for child in self._children.values():
            child.wait()
        self._children.clear()

    def _environment(self) -> dict[str, str]:
        directory = str(self.directory)
        names = ("OVS_RUNDIR", "OVN_RUNDIR", "OVS_LOGDIR", "OVN_LOGDIR", "OVS_DBDIR", "OVN_DBDIR")
        return dict.fromkeys(names, directory)


class Servers(Processes):
    """ovsdb-servers in a directory, one per database."""

    def socket(self, database: Database) -> str:
        """The remote of a database."""
        return f"unix:{self.directory}/{FILES[database]}.sock"

    def serve(self, *databases: Database) -> None:
        """Start servers on the existing data, and wait until they respond."""
        for database in databases:
            file = self.directory / f"{FILES[database]}.db"
            if not file.exists():
                schema = SCHEMAS / f"{FILES[database]}.ovsschema"
                run_program(INSTALLATION, "ovsdb-tool", "create", str(file), str(schema))
            self.start(
                FILES[database],
                "ovsdb-server",
                str(file),
                f"--remote=p{self.socket(database)}",
                f"--unixctl={self.directory}/{FILES[database]}.ctl",
                "-vconsole:warn",
            )
        for database in databases:
            path = self.directory / f"{FILES[database]}.sock"
            wait_until(path.exists, f"{database} listens")

    def dump(self, database: Database) -> str:
        """The contents, for failure reports and comparisons."""
        return run_program(INSTALLATION, "ovsdb-client", "dump", self.socket(database), database)

    def ctl(self, program: str, database: Database, *arguments: str) -> str:
        """Run ovn-nbctl, ovn-sbctl, ovn-ic-nbctl or ovn-ic-sbctl."""
        flags = (f"--db={self.socket(database)}", "--no-leader-only")
        return run_program(INSTALLATION, program, *flags, *arguments)


class RealZone:
    """NB, SB and northd of one cluster, with router `r`."""

    def __init__(self, directory: Path, name: str, ic: Servers, *, northd: bool = True) -> None:
        self.name, self.ic = name, ic
        self.servers = Servers(directory / name)
        self.servers.serve(Database.NB, Database.SB)
        if northd:
            self._start_northd()
        self.nbctl("set", "NB_Global", ".", f"name={name}")
        self.nbctl("lr-add", "r")

    def _start_northd(self) -> None:
        self.servers.start(
            "northd",
            "ovn-northd",
            f"--ovnnb-db={self.servers.socket(Database.NB)}",
            f"--ovnsb-db={self.servers.socket(Database.SB)}",
            f"--unixctl={self.servers.directory}/northd.ctl",
            "-vconsole:warn",
        )

    def nbctl(self, *arguments: str) -> str:
        """Run ovn-nbctl."""
        if arguments[0] == "set" and arguments[1] == "NB_Global":
            self.servers.ctl("ovn-nbctl", Database.NB, "init")
        return self.servers.ctl("ovn-nbctl", Database.NB, *arguments)

    def sbctl(self, *arguments: str) -> str:
        """Run ovn-sbctl."""
        return self.servers.ctl("ovn-sbctl", Database.SB, *arguments)

    @property
    def remotes(self) -> dict[Database, str]:
        """The remotes of the four databases."""
        own = {d: self.servers.socket(d) for d in (Database.NB, Database.SB)}
        return {**own, **{d: self.ic.socket(d) for d in (Database.IC_NB, Database.IC_SB)}}

    def start_ovn_ic(self) -> None:
        """Start the real ovn-ic."""
        self.servers.start("ovn-ic", *self._daemon("ovn-ic"), "-vconsole:warn")

    def start_engine(self) -> None:
        """Start our engine in place of ovn-ic."""
        self.servers.start(
            "engine",
            *self._daemon(sys.executable, "-m", "support.ovn.engine_process"),
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def start_daemon(self, kind: str) -> int:
        """Start "ovn-ic" or "isthmus"; return its process ID."""
        if kind == "ovn-ic":
            self.start_ovn_ic()
            return self.servers.pid("ovn-ic")
        self.start_engine()
        return self.servers.pid("engine")

    def _daemon(self, *program: str) -> Sequence[str]:
        flags = {
            Database.NB: "--ovnnb-db",
            Database.SB: "--ovnsb-db",
            Database.IC_NB: "--ic-nb-db",
            Database.IC_SB: "--ic-sb-db",
        }
        return [*program, *(f"{flags[d]}={remote}" for d, remote in self.remotes.items())]

    def add_subnet(self, name: str, *networks: str) -> None:
        """Add a subnet behind the router."""
        self.nbctl("lrp-add", "r", name, "0a:00:00:00:00:01", *networks)

    def join(self, ts: str, *networks: str, chassis: str = "") -> None:
        """Register a gateway chassis and connect the router to a transit switch."""
        chassis = chassis or f"{self.name}-gw"
        number = int(networks[0].split("/")[0].rsplit(".", 1)[1])
        if chassis not in self.sbctl("--bare", "--columns=name", "list", "chassis"):
            self.sbctl("chassis-add", chassis, "geneve", f"192.0.2.{number}")
            self.sbctl("set", "chassis", chassis, "other_config:is-interconn=true")
        wait_until(
            lambda: ts in self.nbctl("--bare", "--columns=name", "list", "logical_switch"), ts
        )
        port, lrp = f"{ts}-{self.name}", f"{self.name}-{ts}"
        self.nbctl("lrp-add", "r", lrp, f"0a:00:00:00:01:{number:02x}", *networks)
        self.nbctl("lrp-set-gateway-chassis", lrp, chassis)
        self.nbctl(
            "lsp-add", ts, port, "--", "lsp-set-type", port, "router",
            "--", "lsp-set-addresses", port, "router",
            "--", "lsp-set-options", port, f"router-port={lrp}",
        )  # fmt: skip

    def learned(self) -> dict[str, set[str]]:
        """Learned prefixes and their next hops."""
        text = self.nbctl("lr-route-list", "r")
        found: dict[str, set[str]] = {}
        for line in text.splitlines():
            words = line.split()
            if "(learned)" in words:
                found.setdefault(words[0], set()).add(words[1])
        return found


class RealFleet:
    """Real zones on one pair of IC databases."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ic = Servers(directory / "ic")
        self.ic.serve(Database.IC_NB, Database.IC_SB)
        self.zones: list[RealZone] = []

    def add_zone(self, name: str) -> RealZone:
        """Build a zone, without an interconnection daemon."""
        zone = RealZone(self.directory, name, self.ic)
        self.zones.append(zone)
        return zone

    def add_ts(self, name: str) -> None:
        """Create a transit switch."""
        self.ic.ctl("ovn-ic-nbctl", Database.IC_NB, "ts-add", name)

    def stop(self) -> None:
        """Stop everything."""
        for zone in self.zones:
            zone.servers.stop_all()
        self.ic.stop_all()

    def keep_dumps(self) -> None:
        """Write the contents of the databases next to the logs."""
        places = [(self.ic, (Database.IC_NB, Database.IC_SB))]
        places += [(zone.servers, (Database.NB, Database.SB)) for zone in self.zones]
        for servers, databases in places:
            for database in databases:
                (servers.directory / f"{FILES[database]}.dump").write_text(servers.dump(database))


@contextmanager
def fleet_in(directory: Path) -> Iterator[RealFleet]:
    """A fleet that is always stopped at the end, and leaves dumps if the test failed."""
    fleet = RealFleet(directory)
    try:
        yield fleet
    except BaseException:
        fleet.keep_dumps()
        raise
    finally:
        fleet.stop()

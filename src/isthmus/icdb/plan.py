"""What serving the IC databases takes: files, addresses and command lines, as values.

Called by `supervisor` and `storage`, which carry it out. File names are those of OVN's own
scripts (ovn-ctl(8)), so that its tools find the sockets, and a data directory that they made can
be taken over as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import PurePath

from isthmus.icdb.transit import TransitSwitchSpec
from isthmus.model.problems import Problem
from isthmus.model.rows import Database

IPV4 = 4

NB_PORT = 6645
SB_PORT = 6646

SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a Unix socket (`sun_path` in unix(7), less its final zero)."""

RESTART_FIRST = 0.1
RESTART_MOST = 10.0
"""Seconds between the death of a server and its restart: doubled from the first to the most."""

STABLE_AFTER = 30.0
"""Seconds that a server must have lived for its next death to count as the first again."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where things are.

    Args:
        data_dir: the database files.
        run_dir: sockets, logs and pid files.
        schema_dir: OVN's schemas.
    """

    data_dir: PurePath
    run_dir: PurePath
    schema_dir: PurePath


@dataclass(frozen=True, slots=True)
class Server:
    """One ovsdb-server with one database.

    Args:
        database: its schema's name.
        short: "nb" or "sb", as in OVN's file names.
        port: TCP port.
        listen: the address that the port is on.
        files: where its files are.
    """

    database: Database
    short: str
    port: int
    listen: IPv4Address | IPv6Address
    files: Files

    @property
    def name(self) -> str:
        """For people, logs and the log file's name, e.g. "ovsdb-server-ic-nb"."""
        return f"ovsdb-server-ic-{self.short}"

    @property
    def schema(self) -> PurePath:
        """The schema's file."""
        return self.files.schema_dir / f"ovn-ic-{self.short}.ovsschema"

    @property
    def database_file(self) -> PurePath:
        """The database's file."""
        return self.files.data_dir / f"ovn_ic_{self.short}_db.db"

    @property
    def socket(self) -> PurePath:
        """The Unix socket for clients on this machine."""
        return self._run_file("sock")

    @property
    def control_socket(self) -> PurePath:
        """The socket for `ovs-appctl -t`."""
        return self._run_file("ctl")

    @property
    def pid_file(self) -> PurePath:
        """The server's pid file."""
        return self._run_file("pid")

    @property
    def log_file(self) -> PurePath:
        """The server's log."""
        return self.files.run_dir / f"{self.name}.log"

    @property
    def address(self) -> str:
        """How clients reach it, e.g. "tcp:127.0.0.1:6645" or "tcp:[::1]:6645"."""
        return f"tcp:{_bracketed(self.listen)}:{self.port}"

    @property
    def connect_to(self) -> IPv4Address | IPv6Address:
        """An address that reaches the server from this machine, also if it listens on all."""
        if not self.listen.is_unspecified:
            return self.listen
        return ip_address("127.0.0.1" if self.listen.version == IPV4 else "::1")

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that serves the database, in the foreground.

        There is no `db:` remote: the addresses in the database's `connections` column, which
        may be every address of the machine, must not widen what `--listen` says.
        """
        return (
            "ovsdb-server",
            f"--remote=punix:{self.socket}",
            f"--remote=ptcp:{self.port}:{_bracketed(self.listen)}",
            f"--unixctl={self.control_socket}",
            f"--pidfile={self.pid_file}",
            f"--log-file={self.log_file}",
            "-vconsole:off",
            str(self.database_file),
        )

    def _run_file(self, suffix: str) -> PurePath:
        return self.files.run_dir / f"ovn_ic_{self.short}_db.{suffix}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `supervisor.serve` needs to know.

    Args:
        nb: the server of IC-NB.
        sb: the server of IC-SB.
        transit_switches: to exist in IC-NB; None for `transit.DEFAULT` if there is none of ours.
    """

    nb: Server
    sb: Server
    transit_switches: tuple[TransitSwitchSpec, ...] | None

    @property
    def servers(self) -> tuple[Server, Server]:
        """Both servers."""
        return self.nb, self.sb

    @property
    def files(self) -> Files:
        """Where things are."""
        return self.nb.files


def make_plan(
    files: Files,
    listen: IPv4Address | IPv6Address,
    nb_port: int,
    sb_port: int,
    transit_switches: tuple[TransitSwitchSpec, ...] | None,
) -> Plan:
    """Plan both servers on one address; ports are 1 to 65535."""
    return Plan(
        nb=Server(Database.IC_NB, "nb", nb_port, listen, files),
        sb=Server(Database.IC_SB, "sb", sb_port, listen, files),
        transit_switches=transit_switches,
    )


def plan_problems(plan: Plan) -> list[Problem]:
    """What can be seen to be wrong with a plan before anything is touched."""
    problems = []
    if plan.nb.port == plan.sb.port:
        problems.append(
            Problem(
                object="IC databases",
                key="--sb-port",
                value=str(plan.sb.port),
                message="is the port of the northbound database too",
                remedy=f"give two different ports, such as {NB_PORT} and {SB_PORT}",
            )
        )
    longest = max(len(bytes_of(server.socket)) for server in plan.servers)
    if longest > SOCKET_PATH_LIMIT:
        problems.append(
            Problem(
                object="IC databases",
                key="--run-dir",
                value=str(plan.files.run_dir),
                message=f"a socket's path would be {longest} bytes long,"
                f" more than the {SOCKET_PATH_LIMIT} that Linux allows",
                remedy="give a shorter directory",
            )
        )
    return problems


def bytes_of(path: PurePath) -> bytes:
    """A path as the kernel sees it."""
    return str(path).encode(errors="surrogateescape")


def parse_listen(text: str) -> IPv4Address | IPv6Address | Problem:
    """The address of `--listen`; IPv6 with or without brackets."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ip_address(inner)
    except ValueError:
        return Problem(
            object="IC databases",
            key="--listen",
            value=text,
            message="is not an IP address",
            remedy="give an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::1",
        )


def restart_delay(deaths: int) -> float:
    """Seconds to wait before a restart; `deaths` in a row, at least 1."""
    # The exponent is bounded: a server may die on every start for weeks.
    return min(RESTART_FIRST * 2.0 ** min(deaths - 1, 30), RESTART_MOST)


def default_dirs(environment: Mapping[str, str]) -> tuple[PurePath, PurePath]:
    """Data and run directory where OVN's tools look for them (`OVN_DBDIR`, `OVN_RUNDIR`)."""
    return (
        PurePath(environment.get("OVN_DBDIR") or "/var/lib/ovn"),
        PurePath(environment.get("OVN_RUNDIR") or "/var/run/ovn"),
    )


def _bracketed(address: IPv4Address | IPv6Address) -> str:
    return str(address) if address.version == IPV4 else f"[{address}]"

"""What serving the IC databases takes: files, addresses and command lines, as values.

Called by `supervisor` and `storage`, which carry it out. File names are those of OVN's own
scripts (ovn-ctl(8)), so that its tools find the sockets, and a data directory that they made can
be taken over as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path, PurePath

from isthmus.icdb.raft.membership import Membership, bracketed
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from isthmus.pki.files import TlsFiles

IPV4 = 4

NB_PORT = 6645
SB_PORT = 6646
NB_RAFT_PORT = 6647
SB_RAFT_PORT = 6648

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
        run_dir: sockets and pid files.
        schema_dir: OVN's schemas.
        log_dir: logs, if they are not in `run_dir`.
    """

    data_dir: PurePath
    run_dir: PurePath
    schema_dir: PurePath
    log_dir: PurePath | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    Args:
        name: for people and logs.
        command: its command line, which stays in the foreground.
        log_file: its log.
        control_socket: where it can be told to end (`ovs-appctl exit`); None to signal it.
    """

    name: str
    command: tuple[str, ...]
    log_file: PurePath
    control_socket: PurePath | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One ovsdb-server with one database.

    Args:
        database: its schema's name.
        short: "nb" or "sb", as in OVN's file names.
        port: TCP port.
        listen: the address that the port is on.
        files: where its files are.
        raft_port: TCP port for the other members of its cluster.
        tls: what it shows clients and members, who must show the same; None for plain TCP.
        from_clear_text: whether members that still talk in clear text are to talk by TLS.
        guarded: whether the guard listens for clients instead.
        members_ca: whom it believes in place of `tls.ca_cert`, if only members connect to it.
    """

    database: Database
    short: str
    port: int
    listen: IPv4Address | IPv6Address
    files: Files
    raft_port: int
    tls: TlsFiles | None = None
    from_clear_text: bool = False
    guarded: bool = False
    members_ca: Path | None = None

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
    def waiting_file(self) -> PurePath:
        """The empty database that a founder serves while it waits."""
        return self._run_file("waiting")

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
        return (self.files.log_dir or self.files.run_dir) / f"{self.name}.log"

    @property
    def address(self) -> str:
        """How clients reach it, e.g. "tcp:127.0.0.1:6645" or "tcp:[::1]:6645"."""
        return f"{self.method}:{bracketed(str(self.listen))}:{self.port}"

    @property
    def method(self) -> str:
        """How connections to it are made: "ssl" or "tcp" (ovsdb(7))."""
        return "tcp" if self.tls is None else "ssl"

    def raft_address(self, host: str) -> str:
        """A member's address for Raft, e.g. "tcp:192.0.2.1:6647": part of its identity."""
        return f"{self.method}:{bracketed(host)}:{self.raft_port}"

    def raft_addresses(self, host: str) -> tuple[str, ...]:
        """Those at which a member may be: its own, and the one in clear text that it had before."""
        address = self.raft_address(host)
        before = (f"tcp:{bracketed(host)}:{self.raft_port}",) if self.from_clear_text else ()
        return (address, *before)

    @property
    def connect_to(self) -> IPv4Address | IPv6Address:
        """An address that reaches the server from this machine, also if it listens on all."""
        if not self.listen.is_unspecified:
            return self.listen
        return ip_address("127.0.0.1" if self.listen.version == IPV4 else "::1")

    def program(self, *databases: PurePath) -> Program:
        """The process that serves databases."""
        return Program(self.name, self.command(*databases), self.log_file, self.control_socket)

    def command(self, *databases: PurePath) -> tuple[str, ...]:
        """The command line that serves databases, in the foreground.

        There is no `db:` remote: the addresses in the database's `connections` column, which
        may be every address of the machine, must not widen what `--listen` says.
        """
        clients = f"--remote=p{self.method}:{self.port}:{bracketed(str(self.listen))}"
        return (
            "ovsdb-server",
            f"--remote=punix:{self.socket}",
            *(() if self.guarded else (clients,)),
            *self._tls_options,
            f"--unixctl={self.control_socket}",
            f"--pidfile={self.pid_file}",
            f"--log-file={self.log_file}",
            "-vconsole:off",
            *map(str, databases),
        )

    @property
    def _tls_options(self) -> tuple[str, ...]:
        if self.tls is None:
            return ()
        return replace(self.tls, ca_cert=self.members_ca or self.tls.ca_cert).options

    def _run_file(self, suffix: str) -> PurePath:
        return self.files.run_dir / f"ovn_ic_{self.short}_db.{suffix}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `supervisor.serve` needs to know.

    Args:
        nb: the server of IC-NB.
        sb: the server of IC-SB.
        transit_switches: to exist in IC-NB; None for `transit.DEFAULT` if there is none of ours.
        membership: the cluster's members; None if the databases stand alone.
        insecure: whether plain TCP was asked for.
        forget_after: seconds of silence after which a zone is forgotten; None for never.
        guard: the process that listens for clients in the servers' place; None if they do.
    """

    nb: Server
    sb: Server
    transit_switches: tuple[TransitSwitchSpec, ...] | None
    membership: Membership | None = None
    insecure: bool = False
    forget_after: int | None = None
    guard: Program | None = None

    @property
    def servers(self) -> tuple[Server, Server]:
        """Both servers."""
        return self.nb, self.sb

    @property
    def files(self) -> Files:
        """Where things are."""
        return self.nb.files


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports, the same for all members: for clients, and for Raft between members."""

    nb: int = NB_PORT
    sb: int = SB_PORT
    nb_raft: int = NB_RAFT_PORT
    sb_raft: int = SB_RAFT_PORT


def make_plan(  # noqa: PLR0913, PLR0917 - as many as a plan has parts
    files: Files,
    listen: IPv4Address | IPv6Address,
    ports: Ports,
    transit_switches: tuple[TransitSwitchSpec, ...] | None,
    membership: Membership | None = None,
    insecure: bool = False,
    tls: TlsFiles | None = None,
) -> Plan:
    """Plan both servers on one address; ports are 1 to 65535."""
    return Plan(
        nb=Server(Database.IC_NB, "nb", ports.nb, listen, files, ports.nb_raft, tls),
        sb=Server(Database.IC_SB, "sb", ports.sb, listen, files, ports.sb_raft, tls),
        transit_switches=transit_switches,
        membership=membership,
        insecure=insecure,
    )


def go_over(plan: Plan) -> Plan:
    """The same plan, but members that still talk in clear text go over to TLS."""
    nb, sb = (replace(server, from_clear_text=True) for server in plan.servers)
    return replace(plan, nb=nb, sb=sb)


def plan_problems(plan: Plan) -> list[Problem]:
    """What can be seen to be wrong with a plan before anything is touched."""
    problems = [*_port_problems(plan), *_clear_text(plan), *_no_certificates(plan)]
    longest = max(len(bytes_of(server.socket)) for server in plan.servers)
    if longest > SOCKET_PATH_LIMIT:
        problems.append(
            Subject("IC databases", "--run-dir", str(plan.files.run_dir)).problem(
                (
                    f"a socket's path would be {longest} bytes long,"
                    f" more than the {SOCKET_PATH_LIMIT} that Linux allows"
                ),
                "give a shorter directory",
            )
        )
    return problems


def _port_problems(plan: Plan) -> Iterable[Problem]:
    named = [("--nb-port", plan.nb.port), ("--sb-port", plan.sb.port)]
    if plan.membership is not None:
        named += [
            ("--nb-raft-port", plan.nb.raft_port),
            ("--sb-raft-port", plan.sb.raft_port),
        ]
    taken: dict[int, str] = {}
    for flag, port in named:
        if port in taken:
            yield Subject("IC databases", flag, str(port)).problem(
                f"is the port of {taken[port]} too",
                (
                    "give different ports, such as"
                    f" {NB_PORT}, {SB_PORT}, {NB_RAFT_PORT} and {SB_RAFT_PORT}"
                ),
            )
        taken.setdefault(port, flag)


def _clear_text(plan: Plan) -> Iterable[Problem]:
    """Plain TCP beyond this machine must be asked for."""
    if plan.insecure or plan.nb.tls is not None:
        return
    own = plan.membership.own if plan.membership is not None else ""
    for key, host in (("--listen", str(plan.nb.listen)), ("--address", own)):
        if host and not is_loopback(host):
            yield Subject("IC databases", key, host).problem(
                ("is reached from other machines, and plain TCP lets anyone there read and write"),
                (
                    "give --tls-dir (`isthmus pki` makes the files), or accept it: --insecure"
                    " (or ENABLE_SSL=false)"
                ),
            )
            return


def _no_certificates(plan: Plan) -> Iterable[Problem]:
    if plan.nb.from_clear_text and plan.nb.tls is None:
        yield Subject("IC databases", "--from-clear-text").problem(
            "says that members are to talk by TLS, and there are no certificates",
            "give --tls-dir too (`isthmus pki` makes the files)",
        )


def is_loopback(host: str) -> bool:
    """Whether a host, as `members` writes it, is this machine and no other can reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bytes_of(path: PurePath) -> bytes:
    """A path as the kernel sees it."""
    return str(path).encode(errors="surrogateescape")


def parse_listen(text: str) -> IPv4Address | IPv6Address | Problem:
    """The address of `--listen`; IPv6 with or without brackets."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ip_address(inner)
    except ValueError:
        return Subject("IC databases", "--listen", text).problem(
            "is not an IP address",
            "give an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::1",
        )


def listen_of_member(own: str, ipv6: bool) -> IPv4Address | IPv6Address:
    """Where a member listens for clients if nothing else is said.

    One that is named by a host name listens on all addresses: which of them the name stands for
    may change, and is different for others.

    Args:
        own: the member, as `members` writes it.
        ipv6: whether this machine has IPv6; "::" means both families.
    """
    try:
        return ip_address(own)
    except ValueError:
        every = "::" if ipv6 else "0.0.0.0"  # noqa: S104 - whoever gives a name asks for it
        return ip_address("127.0.0.1" if own == "localhost" else every)


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

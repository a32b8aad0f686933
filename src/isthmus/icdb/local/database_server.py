"""The two `ovsdb-server` processes of a host: file names, addresses and command lines. Pure.

File names are those of OVN's own scripts (ovn-ctl(8)), so OVN's tools find the sockets, and a data
directory that the scripts made can be taken over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path, PurePath

from isthmus.icdb.local.hosts import bracketed
from isthmus.model.prefixes import Address
from isthmus.model.problems import Subject
from isthmus.model.rows import Database
from isthmus.pki.files import TlsFiles

NB_PORT = 6645
SB_PORT = 6646
NB_RAFT_PORT = 6647
SB_RAFT_PORT = 6648

_NAMES = {"nb": Database.IC_NB, "sb": Database.IC_SB}


@dataclass(frozen=True, slots=True)
class Directories:
    """Where files are.

    Args:
        data_dir: the database files.
        run_dir: sockets and pid files.
        schema_dir: OVN's schemas.
        log_dir: logs; None for `run_dir`.
    """

    data_dir: PurePath
    run_dir: PurePath
    schema_dir: PurePath
    log_dir: PurePath | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    Args:
        name: for messages and logs.
        command: its command line, which stays in the foreground.
        log_file: its log.
        control_socket: where it accepts `exit` (ovs-appctl(8)); None if only signals stop it.
    """

    name: str
    command: tuple[str, ...]
    log_file: PurePath
    control_socket: PurePath | None = None


@dataclass(frozen=True, slots=True)
class LocalServer:
    """This host's server of one database, as far as its files and sockets go.

    Args:
        short: "nb" or "sb", as in OVN's file names.
        port: TCP port for clients; the other members have the same.
        files: where its files are.
    """

    short: str
    port: int
    files: Directories

    @property
    def database(self) -> Database:
        """The database."""
        return _NAMES[self.short]

    @property
    def subject(self) -> Subject:
        """The database as the subject of a problem."""
        return Subject(f"database {self.database}")

    @property
    def file_subject(self) -> Subject:
        """The database's file as the subject of a problem."""
        return Subject(f"database {self.database}", "file", str(self.database_file))

    @property
    def name(self) -> str:
        """The server's name, e.g. "ovsdb-server-ic-nb"."""
        return f"ovsdb-server-ic-{self.short}"

    @property
    def schema(self) -> Path:
        """The installed schema's file."""
        return Path(self.files.schema_dir / f"ovn-ic-{self.short}.ovsschema")

    @property
    def database_file(self) -> Path:
        """The database's file."""
        return Path(self.files.data_dir / f"ovn_ic_{self.short}_db.db")

    @property
    def waiting_file(self) -> Path:
        """The empty database that a bootstrap member serves while it waits for the others."""
        return self._run_file("waiting")

    @property
    def socket(self) -> Path:
        """The Unix socket for clients on this host."""
        return self._run_file("sock")

    @property
    def remote(self) -> str:
        """The Unix socket as clients' options take it (ovsdb(7))."""
        return f"unix:{self.socket}"

    @property
    def control_socket(self) -> Path:
        """The socket for `ovs-appctl -t`."""
        return self._run_file("ctl")

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return Path((self.files.log_dir or self.files.run_dir) / f"{self.name}.log")

    def _run_file(self, suffix: str) -> Path:
        return Path(self.files.run_dir / f"ovn_ic_{self.short}_db.{suffix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseServer(LocalServer):
    """A server to run.

    Args:
        listen: the address that `port` is on.
        raft_port: TCP port for the other members of its cluster.
        tls: its certificate, and the CAs that clients and members must have theirs from; None for
            plain TCP.
        behind_proxy: whether clients connect to the authorizing proxy instead.
        members_ca: used in place of `tls.ca_cert` if only members connect to the server.
    """

    listen: Address
    raft_port: int
    tls: TlsFiles | None = None
    behind_proxy: bool = False
    members_ca: Path | None = None

    @property
    def address(self) -> str:
        """The address for clients, e.g. "tcp:127.0.0.1:6645" or "tcp:[::1]:6645"."""
        return f"{self.method}:{bracketed(str(self.listen))}:{self.port}"

    @property
    def method(self) -> str:
        """How connections to it are made: "ssl" or "tcp" (ovsdb(7))."""
        return "tcp" if self.tls is None else "ssl"

    def raft_address(self, host: str) -> str:
        """A member's address for Raft, e.g. "tcp:192.0.2.1:6647": part of its identity."""
        return f"{self.method}:{bracketed(host)}:{self.raft_port}"

    @property
    def connect_to(self) -> Address:
        """An address that reaches the server from this host, also if it listens on all."""
        if not self.listen.is_unspecified:
            return self.listen
        return ip_address("127.0.0.1" if self.listen.version == 4 else "::1")

    def program(self, *databases: PurePath) -> Program:
        """The process that serves database files."""
        return Program(self.name, self.command(*databases), self.log_file, self.control_socket)

    def command(self, *databases: PurePath) -> tuple[str, ...]:
        """The command line that serves database files in the foreground.

        There is no `db:` remote: addresses in the database's `connections` column could open ports
        that `--listen` does not name.
        """
        clients = f"--remote=p{self.method}:{self.port}:{bracketed(str(self.listen))}"
        return (
            "ovsdb-server",
            f"--remote=punix:{self.socket}",
            *(() if self.behind_proxy else (clients,)),
            *self._tls_options,
            f"--unixctl={self.control_socket}",
            f"--pidfile={self._run_file('pid')}",
            f"--log-file={self.log_file}",
            "-vconsole:off",
            *map(str, databases),
        )

    @property
    def _tls_options(self) -> tuple[str, ...]:
        if self.tls is None:
            return ()
        return replace(self.tls, ca_cert=self.members_ca or self.tls.ca_cert).options


def local_servers(
    files: Directories, nb_port: int = NB_PORT, sb_port: int = SB_PORT
) -> tuple[LocalServer, LocalServer]:
    """This host's servers of both databases."""
    return LocalServer("nb", nb_port, files), LocalServer("sb", sb_port, files)


def default_dirs(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Data and run directory where OVN's tools look for them (`OVN_DBDIR`, `OVN_RUNDIR`)."""
    return (
        Path(environment.get("OVN_DBDIR") or "/var/lib/ovn"),
        Path(environment.get("OVN_RUNDIR") or "/var/run/ovn"),
    )

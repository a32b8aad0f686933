"""The options of `isthmus ic-db` as dataclasses, and verbs that take such a dataclass.

Used by the other modules of `cli.ic_db`. A field is an option: its annotation says so to typer, as
for a function's parameter.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.options.environment import CA_CERT, CERTIFICATE, PRIVATE_KEY
from isthmus.cli.options.tls import tls_in, tls_of
from isthmus.icdb.admin.ovsdb_client import OvsdbClient
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.local.database_server import (
    NB_PORT,
    SB_PORT,
    Directories,
    LocalServer,
    default_dirs,
    local_servers,
)
from isthmus.ovsdb.streams.tls import Tls
from isthmus.pki.files import TlsFiles

DATA_DIR, RUN_DIR = default_dirs(os.environ)

NbPortOption: TypeAlias = Annotated[
    int, typer.Option(min=1, max=65535, help="Northbound clients' TCP port on all members.")
]
SbPortOption: TypeAlias = Annotated[
    int, typer.Option(min=1, max=65535, help="Southbound clients' TCP port on all members.")
]
TimeoutOption: TypeAlias = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="Seconds to wait.")
]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Where the files of this host's servers are; the same options as those of `ic-db run`."""

    data_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of the database files.", show_default="$OVN_DBDIR, or /var/lib/ovn"
        ),
    ] = DATA_DIR
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of the servers' sockets.", show_default="$OVN_RUNDIR, or /var/run/ovn"
        ),
    ] = RUN_DIR
    schema_dir: Annotated[Path, typer.Option(help="Directory of OVN's database schemas.")] = Path(
        "/usr/share/ovn"
    )

    @property
    def directories(self) -> Directories:
        """The directories as absolute paths."""
        given = (self.data_dir, self.run_dir, self.schema_dir)
        return Directories(*(each.absolute() for each in given))

    def servers(self) -> tuple[LocalServer, LocalServer]:
        """This host's servers."""
        return local_servers(self.directories)


@dataclass(frozen=True, kw_only=True)
class MemberOptions(ServerOptions):
    """Where this host's servers and the other members are, and how to connect to them."""

    nb_port: NbPortOption = NB_PORT
    sb_port: SbPortOption = SB_PORT
    tls_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="ISTHMUS_TLS_DIR",
            help="Directory of tls.crt, tls.key and ca.crt (or cert, key, cacert), for TLS.",
        ),
    ] = None
    timeout: TimeoutOption = 30.0

    def servers(self) -> tuple[LocalServer, LocalServer]:
        """This host's servers."""
        return local_servers(self.directories, self.nb_port, self.sb_port)

    def client(self, timeout: float | None = None) -> OvsdbClient:
        """A client with the certificates of --tls-dir, or those that the environment names.

        Args:
            timeout: seconds; None for --timeout.

        Raises:
            CommandError: a file is missing or invalid.
        """
        if self.tls_dir is not None:
            tls: Tls | None = tls_in(self.tls_dir)
        else:
            names = (PRIVATE_KEY, CERTIFICATE, CA_CERT)
            tls = tls_of("isthmus", *(os.environ.get(name, "") for name in names))
        limit = int(timeout or self.timeout)
        if tls is None:
            return OvsdbClient(limit)
        raise_if_any(tls.faults())
        files = (tls.private_key, tls.certificate, tls.ca_cert)
        return OvsdbClient(limit, TlsFiles(*map(Path, files)))


def verb(action: Callable[[Any], None]) -> Callable[..., None]:
    """A function for typer with the help of an action, and the options that its parameter has.

    An `IcDbError` of the action is printed like any other problem.

    Args:
        action: takes one of the dataclasses; its docstring is the help.
    """
    options = action.__annotations__["options"]

    def run(**values: Any) -> None:
        try:
            action(options(**values))
        except IcDbError as error:
            raise CommandError(*error.problems) from error

    signature = inspect.signature(options)
    run.__doc__, run.__name__ = action.__doc__, action.__name__
    run.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run

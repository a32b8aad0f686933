"""The flags that name the four databases, alike in all verbs.

Defaults are those of OVN's own tools: `OVN_NB_DB`, `OVN_SB_DB`, `OVN_IC_NB_DB`, `OVN_IC_SB_DB`,
then the sockets in `OVN_RUNDIR` (ovn-nbctl(8), ovn-ic(8)). Beside a daemon, whose control socket
`ISTHMUS_UNIXCTL` names, they are the databases that the daemon uses: it has found them in
`ovn-ic-config`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.model.problems import Subject
from isthmus.model.rows import Database


def run_dir() -> Path:
    """Where OVN keeps sockets and pidfiles: `OVN_RUNDIR`, or its default."""
    return Path(os.environ.get("OVN_RUNDIR", "/var/run/ovn"))


def _default(database: Database, socket: str) -> str:
    known = _known_to_daemon()
    if known is None:
        return f"unix:{run_dir()}/{socket}.sock"
    if database not in known:
        raise CommandError(
            Subject("daemon", CONTROL_SOCKET, os.environ[CONTROL_SOCKET]).problem(
                f"uses no {database} database: this cluster has not joined",
                "set enable-ic in ovn-ic-config, or give the database's address",
            )
        )
    return known[database]


def _known_to_daemon() -> Mapping[str, str] | None:
    """The databases that the daemon uses, by name; None if we are beside none."""
    path = os.environ.get(CONTROL_SOCKET)
    if not path:
        return None
    # Imported when needed: it brings the ovs package.
    from isthmus.ovsdb.unixctl import CommandFailedError, ask  # noqa: PLC0415

    try:
        found: dict[str, str] = json.loads(ask(str(run_dir() / path), "remotes"))
    except (OSError, CommandFailedError):
        return None  # the daemon itself, when it starts; or one that knows less
    return found


def _option(
    flag: str, variable: str, database: Database, socket: str, what: str
) -> typer.models.OptionInfo:
    option = typer.Option(
        flag,
        metavar="REMOTE",
        envvar=variable,
        default_factory=lambda: _default(database, socket),
        show_default=f"unix:$OVN_RUNDIR/{socket}.sock",
        help=f"Address of the {what} database.",
    )
    assert isinstance(option, typer.models.OptionInfo)  # noqa: S101 - typer's own promise
    return option


NbRemote: TypeAlias = Annotated[
    str, _option("--ovnnb-db", "OVN_NB_DB", Database.NB, "ovnnb_db", "OVN northbound")
]
SbRemote: TypeAlias = Annotated[
    str, _option("--ovnsb-db", "OVN_SB_DB", Database.SB, "ovnsb_db", "OVN southbound")
]
IcNbRemote: TypeAlias = Annotated[
    str, _option("--ic-nb-db", "OVN_IC_NB_DB", Database.IC_NB, "ovn_ic_nb_db", "IC northbound")
]
IcSbRemote: TypeAlias = Annotated[
    str, _option("--ic-sb-db", "OVN_IC_SB_DB", Database.IC_SB, "ovn_ic_sb_db", "IC southbound")
]
TimeoutOption: TypeAlias = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for the databases.")
]

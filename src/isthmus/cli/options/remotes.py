"""The flags that give the addresses of the four databases; the same in all verbs.

The defaults are those of OVN's tools: `OVN_NB_DB`, `OVN_SB_DB`, `OVN_IC_NB_DB`, `OVN_IC_SB_DB`,
then the sockets in `OVN_RUNDIR` (ovn-nbctl(8), ovn-ic(8)). If `ISTHMUS_UNIXCTL` names the control
socket of a daemon, the defaults are the databases that this daemon uses, which it has found in
`ovn-ic-config`.
"""

import json
import os
from collections.abc import Mapping
from typing import Annotated, TypeAlias

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.cli.options.run_dir import run_dir
from isthmus.model.problems import Subject
from isthmus.ovsdb.unixctl_client import CommandFailedError, ask


def _default(schema: str, socket: str) -> str:
    """The address of a database.

    Args:
        schema: the database's name.
        socket: the name of its socket in `OVN_RUNDIR`, without ".sock".
    """
    used = _used_by_daemon()
    if used is None:
        return f"unix:{run_dir()}/{socket}.sock"
    if schema not in used:
        message = f"does not use {schema}, because this cluster has not joined"
        remedy = "set enable-ic in ovn-ic-config, or give the address of the database"
        subject = Subject("daemon", CONTROL_SOCKET, os.environ[CONTROL_SOCKET])
        raise CommandError(subject.problem(message, remedy))
    return used[schema]


def _used_by_daemon() -> Mapping[str, str] | None:
    """The addresses of the daemon's databases by name; None if there is no daemon to ask."""
    path = os.environ.get(CONTROL_SOCKET)
    if not path:
        return None
    try:
        found: dict[str, str] = json.loads(ask(str(run_dir() / path), "remotes"))
    except (OSError, CommandFailedError):
        return None  # this process is the daemon and starts now, or the daemon is `isthmus ovn-ic`
    return found


def _option(
    flag: str, variable: str, schema: str, socket: str, description: str
) -> typer.models.OptionInfo:
    option = typer.Option(
        flag,
        metavar="REMOTE",
        envvar=variable,
        default_factory=lambda: _default(schema, socket),
        show_default=f"unix:$OVN_RUNDIR/{socket}.sock",
        help=f"Address of the {description} database.",
    )
    assert isinstance(option, typer.models.OptionInfo)  # noqa: S101 - typer declares it as Any
    return option


# Database names are written out: `isthmus.model.rows` would double the time that `--help` takes.
NbRemote: TypeAlias = Annotated[
    str, _option("--ovnnb-db", "OVN_NB_DB", "OVN_Northbound", "ovnnb_db", "OVN northbound")
]
SbRemote: TypeAlias = Annotated[
    str, _option("--ovnsb-db", "OVN_SB_DB", "OVN_Southbound", "ovnsb_db", "OVN southbound")
]
IcNbRemote: TypeAlias = Annotated[
    str, _option("--ic-nb-db", "OVN_IC_NB_DB", "OVN_IC_Northbound", "ovn_ic_nb_db", "IC northbound")
]
IcSbRemote: TypeAlias = Annotated[
    str, _option("--ic-sb-db", "OVN_IC_SB_DB", "OVN_IC_Southbound", "ovn_ic_sb_db", "IC southbound")
]
TimeoutOption: TypeAlias = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds to wait for the databases.")
]

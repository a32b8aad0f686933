"""The flags that name the four databases, alike in all verbs.

Defaults are those of OVN's own tools: `OVN_NB_DB`, `OVN_SB_DB`, `OVN_IC_NB_DB`, `OVN_IC_SB_DB`,
then the sockets in `OVN_RUNDIR` (ovn-nbctl(8), ovn-ic(8)).
"""

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


def run_dir() -> Path:
    """Where OVN keeps sockets and pidfiles: `OVN_RUNDIR`, or its default."""
    return Path(os.environ.get("OVN_RUNDIR", "/var/run/ovn"))


def _socket(name: str) -> str:
    return f"unix:{run_dir()}/{name}.sock"


def _option(flag: str, variable: str, socket: str, what: str) -> typer.models.OptionInfo:
    option = typer.Option(
        flag,
        metavar="REMOTE",
        envvar=variable,
        default_factory=lambda: _socket(socket),
        show_default=f"unix:$OVN_RUNDIR/{socket}.sock",
        help=f"Address of the {what} database.",
    )
    assert isinstance(option, typer.models.OptionInfo)  # noqa: S101 - typer's own promise
    return option


NbRemote: TypeAlias = Annotated[
    str, _option("--ovnnb-db", "OVN_NB_DB", "ovnnb_db", "OVN northbound")
]
SbRemote: TypeAlias = Annotated[
    str, _option("--ovnsb-db", "OVN_SB_DB", "ovnsb_db", "OVN southbound")
]
IcNbRemote: TypeAlias = Annotated[
    str, _option("--ic-nb-db", "OVN_IC_NB_DB", "ovn_ic_nb_db", "IC northbound")
]
IcSbRemote: TypeAlias = Annotated[
    str, _option("--ic-sb-db", "OVN_IC_SB_DB", "ovn_ic_sb_db", "IC southbound")
]
TimeoutOption: TypeAlias = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for the databases.")
]

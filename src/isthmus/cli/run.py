"""`isthmus run`: controller and engine of one cluster, in one process."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.errors import CommandError
from isthmus.cli.logs import log_to_stderr
from isthmus.cli.notify import notify_ready
from isthmus.cli.remotes import NbRemote, SbRemote, run_dir
from isthmus.daemon.commands import version_command
from isthmus.daemon.service import Settings, controller_and_engine
from isthmus.intent.inputs import CONFIG_MAP, DEFAULT_VPC, Inputs
from isthmus.intent.snapshot import ObjectKey
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.control import ControlServer
from isthmus.sources.directory import DirectorySource


def run(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    ovnnb_db: NbRemote,
    ovnsb_db: SbRemote,
    manifests: Annotated[
        Path,
        typer.Option(help="Directory of manifests: ConfigMap, Subnets, Nodes; watched."),
    ],
    config_map: Annotated[
        str,
        typer.Option(metavar="NAMESPACE/NAME", help="The ConfigMap that holds the configuration."),
    ] = f"{CONFIG_MAP.namespace}/{CONFIG_MAP.name}",
    vpc: Annotated[str, typer.Option(help="Logical router to interconnect.")] = DEFAULT_VPC,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every transaction.")
    ] = False,
    unixctl: Annotated[
        Path | None,
        typer.Option(
            metavar="SOCKET",
            help="Answer control commands (ovs-appctl -t) on this socket; relative names are in"
            " $OVN_RUNDIR.",
        ),
    ] = None,
) -> None:
    """Interconnect this cluster: read its manifests, and keep its databases in step.

    Runs in the foreground until SIGTERM or Ctrl-C; stopping withdraws nothing. To leave the
    interconnection, set enable-ic to "false" or delete the ConfigMap.
    """
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    namespace, _, name = config_map.rpartition("/")
    inputs = Inputs(ObjectKey("ConfigMap", namespace or CONFIG_MAP.namespace, name), vpc)
    settings = Settings({Database.NB: ovnnb_db, Database.SB: ovnsb_db})
    control = _control(run_dir() / unixctl) if unixctl else None
    loop = controller_and_engine(settings, DirectorySource(manifests), inputs, control)
    loop.run(notify_ready, frozenset(settings.remotes))


def _control(path: Path) -> ControlServer:
    try:
        control = ControlServer(str(path))
    except OSError as error:
        raise CommandError(
            Problem(
                object="command run",
                key="--unixctl",
                value=str(path),
                message=f"cannot be listened on: {error.strerror}",
                remedy="name a socket in a directory that can be written to",
            )
        ) from error
    control.register(version_command(f"isthmus {version('isthmus')}"))
    return control

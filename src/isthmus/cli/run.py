"""`isthmus run`: the controller and the engine of one cluster, in one process."""

import logging
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.notify import notify_ready
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.cli.options.manifests import manifest_source
from isthmus.cli.options.remotes import NbRemote, SbRemote
from isthmus.cli.options.run_dir import run_dir
from isthmus.cli.options.tls import tls_in
from isthmus.controller.inputs.inputs import CONFIG_MAP, DEFAULT_VPC, Inputs
from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.daemon.service import Settings, controller_and_engine
from isthmus.daemon.unixctl_commands import version_command
from isthmus.kube.publish.node_labels import NodeLabeler
from isthmus.kube.publish.status_publisher import StatusPublisher
from isthmus.model.problems import Subject
from isthmus.model.rows import Database
from isthmus.model.text import failure_text
from isthmus.ovsdb.unixctl import ControlServer


class EngineChoice(StrEnum):
    """Values of --engine."""

    ISTHMUS = "isthmus"
    NONE = "none"


def run(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    ovnnb_db: NbRemote,
    ovnsb_db: SbRemote,
    manifests: Annotated[
        Path | None,
        typer.Option(help="Directory of manifests to watch: ConfigMap, Subnets, VPCs, Nodes."),
    ] = None,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Watch the Kubernetes API instead of a directory.")
    ] = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API server and credentials for --kubernetes. Default: $KUBECONFIG, then the pod's"
            " ServiceAccount, then ~/.kube/config.",
        ),
    ] = None,
    context: Annotated[
        str, typer.Option(metavar="NAME", help="Context of the kubeconfig.", show_default=False)
    ] = "",
    config_map: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="ConfigMap that holds the configuration.")
    ] = f"{CONFIG_MAP.namespace}/{CONFIG_MAP.name}",
    ic_db_tls: Annotated[
        bool,
        typer.Option(
            "--ic-db-tls",
            envvar="ISTHMUS_IC_DB_TLS",
            help="Connect to the IC databases at ic-db-host over TLS, with -p, -c and -C.",
        ),
    ] = False,
    ic_tls_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="ISTHMUS_IC_TLS_DIR",
            help="As --ic-db-tls, with tls.crt, tls.key and ca.crt from this directory.",
        ),
    ] = None,
    engine: Annotated[
        EngineChoice,
        typer.Option(
            help="Engine that exchanges gateways, ports and routes with other clusters: isthmus,"
            " or none if OVN's ovn-ic runs."
        ),
    ] = EngineChoice.ISTHMUS,
    vpc: Annotated[str, typer.Option(help="Logical router to interconnect.")] = DEFAULT_VPC,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log transactions.")] = False,
    unixctl: Annotated[
        Path | None,
        typer.Option(
            metavar="SOCKET",
            envvar=CONTROL_SOCKET,
            help="Control socket to listen on (ovs-appctl -t); a relative path starts at"
            " $OVN_RUNDIR.",
        ),
    ] = None,
) -> None:
    """Interconnect this cluster with others, as its manifests configure.

    Runs in the foreground until SIGTERM or Ctrl-C; routes stay in place after that. To leave the
    interconnection, set enable-ic to "false" or delete the ConfigMap.
    """
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    namespace, _, name = config_map.rpartition("/")
    key = ObjectKey("ConfigMap", namespace or CONFIG_MAP.namespace, name)
    source, client = manifest_source(manifests, kubernetes, kubeconfig, context, key)
    alone = engine is EngineChoice.NONE
    if ic_tls_dir is not None:
        tls_in(ic_tls_dir).use((Database.IC_NB, Database.IC_SB))
    tls = ic_db_tls or ic_tls_dir is not None
    inputs = Inputs(key, vpc, tls=tls, port_lists=not alone)
    settings = Settings({Database.NB: ovnnb_db, Database.SB: ovnsb_db}, alone=alone)
    control = _control(run_dir() / unixctl) if unixctl else None
    writers = None
    if client is not None:
        writers = (StatusPublisher(client, key), NodeLabeler(client))
    loop = controller_and_engine(settings, source, inputs, control, writers)
    loop.run(notify_ready, frozenset(settings.remotes))


def _control(path: Path) -> ControlServer:
    try:
        control = ControlServer(str(path))
    except OSError as error:
        message, remedy = (
            f"cannot be created: {failure_text(error)}",
            "use a directory that only this user can write to",
        )
        subject = Subject("command run", "--unixctl", str(path))
        raise CommandError(subject.problem(message, remedy)) from error
    control.register(version_command(f"isthmus {version('isthmus')}"))
    return control

"""How verbs ask a running daemon, over its control socket."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.cli.options.remotes import run_dir
from isthmus.model.problems import Subject
from isthmus.ovsdb.unixctl import CommandFailedError, ask

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--unixctl",
        metavar="SOCKET",
        envvar=CONTROL_SOCKET,
        help="The daemon's control socket; relative names are in $OVN_RUNDIR.",
        show_default="that of the daemon in $OVN_RUNDIR/ovn-ic.pid",
    ),
]

KnowingSocketOption = Annotated[
    Path | None,
    typer.Option(
        "--unixctl",
        metavar="SOCKET",
        envvar=CONTROL_SOCKET,
        help="A daemon's control socket; relative names are in $OVN_RUNDIR. `isthmus run` knows"
        " the Subnets and rules that the databases do not hold.",
        show_default="none: only the databases are asked",
    ),
]
"""For verbs that look at the databases, and know more if they may ask a daemon."""


def ask_daemon(unixctl: Path | None, command: str, *arguments: str) -> str:
    """The answer of a running daemon to a control command.

    Args:
        unixctl: the daemon's socket; None to find it.
        command, arguments: see the daemon's `list-commands`.

    Raises:
        CommandError: no daemon answers, or it refuses.
    """
    path = _socket(unixctl)
    try:
        return ask(str(path), command, *arguments)
    except OSError as error:
        message = f"no daemon answers: {error.strerror or error}"
    except CommandFailedError as error:
        message = str(error)
    remedy = "see that the daemon runs and was started with a control socket (--unixctl)"
    raise CommandError(Subject("control socket", "--unixctl", str(path)).problem(message, remedy))


def _socket(unixctl: Path | None) -> Path:
    """As ovn-appctl finds it: by the pidfile of the daemon that is named ovn-ic."""
    if unixctl is not None:
        return run_dir() / unixctl
    pidfile = run_dir() / "ovn-ic.pid"
    try:
        return run_dir() / f"ovn-ic.{int(pidfile.read_text())}.ctl"
    except (OSError, ValueError) as error:
        raise CommandError(
            Subject("control socket", "--unixctl").problem(
                f"{pidfile} does not name a daemon: {error}",
                "give the daemon's control socket, as it was given to the daemon",
            )
        ) from error

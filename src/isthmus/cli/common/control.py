"""How verbs send commands to a running daemon, over its control socket."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.cli.options.run_dir import run_dir
from isthmus.model.problems import Subject
from isthmus.model.text import failure_text
from isthmus.ovsdb.unixctl_client import CommandFailedError, ask

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--unixctl",
        metavar="SOCKET",
        envvar=CONTROL_SOCKET,
        help="Control socket of the daemon; a relative path starts at $OVN_RUNDIR.",
        show_default="that of the daemon in $OVN_RUNDIR/ovn-ic.pid",
    ),
]

OptionalSocketOption = Annotated[
    Path | None,
    typer.Option(
        "--unixctl",
        metavar="SOCKET",
        envvar=CONTROL_SOCKET,
        help="Control socket of a daemon; a relative path starts at $OVN_RUNDIR. `isthmus run` adds"
        " what the databases do not hold: Subnets and import rules.",
        show_default="none; only the databases are read",
    ),
]
"""For verbs that read the databases, and show more if they can ask a daemon."""


def ask_daemon(unixctl: Path | None, command: str, *arguments: str) -> str:
    """The reply of a running daemon to a control command.

    Args:
        unixctl: the daemon's socket; None to find it.
        command, arguments: see the daemon's `list-commands`.

    Raises:
        CommandError: no daemon replies, or it refuses the command.
    """
    path = run_dir() / unixctl if unixctl is not None else _default_socket()
    try:
        return ask(str(path), command, *arguments)
    except OSError as error:
        message = f"the daemon does not answer: {failure_text(error)}"
    except CommandFailedError as error:
        message = str(error)
    remedy = "check that the daemon runs and was started with a control socket (--unixctl)"
    raise CommandError(Subject("control socket", "--unixctl", str(path)).problem(message, remedy))


def _default_socket() -> Path:
    """The socket that ovn-appctl would use: that of the process in the pidfile of ovn-ic."""
    pidfile = run_dir() / "ovn-ic.pid"
    try:
        return run_dir() / f"ovn-ic.{int(pidfile.read_text())}.ctl"
    except (OSError, ValueError) as error:
        message = f"is not given, and {pidfile} cannot be read: {failure_text(error)}"
        remedy = "give the control socket with which the daemon was started"
        subject = Subject("control socket", "--unixctl")
        raise CommandError(subject.problem(message, remedy)) from error

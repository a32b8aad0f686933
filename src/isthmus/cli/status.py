"""`isthmus status`: whether this cluster has joined and, if not, why, and what to do."""

import json
from dataclasses import asdict

import typer

from isthmus.cli.common.control import SocketOption, ask_daemon
from isthmus.cli.common.output import Output, OutputOption, print_json, print_text
from isthmus.inspect.clear_text import weakness_lines, weaknesses
from isthmus.inspect.status_text import joined, status_text


def status(unixctl: SocketOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show whether this cluster has joined and, if anything is wrong, why and what to do.

    Asks the running daemon over its control socket. Exit status: 0 if the cluster has joined,
    otherwise 1. Plain TCP to other machines is listed as a weakness, and does not change the exit
    status.
    """
    report = json.loads(ask_daemon(unixctl, "isthmus/conditions", "json"))
    unencrypted = weaknesses(json.loads(ask_daemon(unixctl, "remotes")))
    if output is Output.JSON:
        print_json({**report, "weaknesses": [asdict(problem) for problem in unencrypted]})
    else:
        print_text("\n".join([status_text(report), *weakness_lines(unencrypted)]))
    raise typer.Exit(0 if joined(report) else 1)

"""`isthmus status`: whether this cluster is joined and, if not, why, and what to do."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from isthmus.cli.common.control import SocketOption, ask_daemon
from isthmus.cli.common.output import Output, OutputOption, print_json
from isthmus.inspect.clear_text import weakness_lines, weaknesses
from isthmus.inspect.status_text import joined, status_text


def status(
    unixctl: SocketOption = None,
    output: OutputOption = Output.TEXT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing; the exit status says it.")
    ] = False,
) -> None:
    """Say whether this cluster is joined and, if anything is wrong, why, and what to do.

    Asks a running daemon over its control socket. Exit status: 0 if the cluster is joined, else 1.
    Plain TCP to other machines is named as a weakness, which changes no exit status.
    """
    said = json.loads(ask_daemon(unixctl, "isthmus/conditions", "json"))
    open_to_all = weaknesses(json.loads(ask_daemon(unixctl, "remotes")))
    if quiet:
        pass
    elif output is Output.JSON:
        print_json({**said, "weaknesses": [asdict(problem) for problem in open_to_all]})
    else:
        typer.echo("\n".join([status_text(said), *weakness_lines(open_to_all)]))
    raise typer.Exit(0 if joined(said) else 1)

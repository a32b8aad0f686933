"""`kubectl isthmus VERB`: runs a verb of `isthmus` beside the daemon, in its pod.

The program `kubectl-isthmus`, which kubectl finds on PATH. It turns itself into `kubectl exec`, so
that credentials are kubectl's own and nothing stays between the verb and the terminal. In the pod,
verbs know where all databases are (`isthmus.cli.options.remotes`).
"""

import os
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import print_problems
from isthmus.cli.main import STAND_IN, known_verbs
from isthmus.model.problems import Subject

SERVERS = frozenset({"run", STAND_IN, "ic-db", "lab"})
"""Verbs that serve or build; they have no business in a daemon's pod."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        # What follows the verb is the verb's, its --help too.
        "allow_interspersed_args": False,
        "ignore_unknown_options": False,
    },
)
def isthmus(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    verb: Annotated[str, typer.Argument(help="A verb of isthmus: show, routes, engine, zone …")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="The verb's own arguments and flags.")
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where Isthmus is deployed.")
    ] = "kube-system",
    pod: Annotated[
        str,
        typer.Option(help="Ask this pod's daemon.", show_default="any ready one of the Deployment"),
    ] = "",
    context: Annotated[str, typer.Option(help="As of kubectl.")] = "",
    kubeconfig: Annotated[str, typer.Option(metavar="FILE", help="As of kubectl.")] = "",
) -> None:
    """Look into Isthmus in a cluster: run a verb of isthmus in its pod, by kubectl exec."""
    _check(verb)
    flags = {"--context": context, "--kubeconfig": kubeconfig, "--namespace": namespace}
    command = ["kubectl", *(f"{flag}={value}" for flag, value in flags.items() if value), "exec"]
    command += [f"pod/{pod}" if pod else "deployment/isthmus", "--container=isthmus"]
    command += ["--", "isthmus", verb, *(arguments or ())]
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise CommandError(
            Subject("command kubectl", "PATH").problem(
                f"cannot be started: {error.strerror}",
                "install kubectl, or add its directory to PATH",
            )
        ) from error


def _check(verb: str) -> None:
    usable = [name for name in known_verbs() if name not in SERVERS]
    if verb not in usable:
        raise CommandError(
            Subject("command kubectl isthmus", "VERB", verb).problem(
                "cannot be run in the daemon's pod" if verb in SERVERS else "is no verb of isthmus",
                f"use one of {', '.join(usable)}",
            )
        )


def main() -> None:
    """Run the plugin; exit status: kubectl's, that is the verb's; 1 or 2, it was not started."""
    try:
        app(prog_name="kubectl isthmus")
    except CommandError as error:
        print_problems(error.problems)
        raise SystemExit(1) from error

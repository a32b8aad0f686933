"""`kubectl isthmus VERB`: runs a verb of `isthmus` in the daemon's pod.

The program `kubectl-isthmus`, which kubectl finds on PATH. It replaces itself with `kubectl exec`,
so kubectl's credentials are used and the verb is connected to the terminal directly. In the pod,
verbs find the databases through the daemon (`isthmus.cli.options.remotes`).
"""

import os
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import print_problems
from isthmus.cli.main import STAND_IN, known_verbs
from isthmus.model.problems import Subject
from isthmus.model.text import failure_text

SERVERS = frozenset({"run", STAND_IN, "ic-db", "lab"})
"""Verbs that run servers or build labs, which do not belong in the daemon's pod."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    # Everything after the verb belongs to the verb, including --help.
    context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False}
)
def isthmus(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    verb: Annotated[str, typer.Argument(metavar="VERB", help="Verb of isthmus: status, show …")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARGUMENT]...", help="Arguments and options of the verb."),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of Isthmus.")
    ] = "kube-system",
    pod: Annotated[
        str, typer.Option(help="Pod to run in.", show_default="any ready pod of the Deployment")
    ] = "",
    context: Annotated[str, typer.Option(help="Context of the kubeconfig.")] = "",
    kubeconfig: Annotated[str, typer.Option(metavar="FILE", help="Kubeconfig for kubectl.")] = "",
) -> None:
    """Run a verb of isthmus in the pod of its daemon, through kubectl exec."""
    _check(verb)
    flags = {"--context": context, "--kubeconfig": kubeconfig, "--namespace": namespace}
    command = ["kubectl", *(f"{flag}={value}" for flag, value in flags.items() if value), "exec"]
    command += [f"pod/{pod}" if pod else "deployment/isthmus", "--container=isthmus"]
    command += ["--", "isthmus", verb, *(arguments or ())]
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        remedy = "install kubectl, or add its directory to PATH"
        subject = Subject("command kubectl", "PATH")
        raise CommandError(
            subject.problem(f"cannot be started: {failure_text(error)}", remedy)
        ) from error


def _check(verb: str) -> None:
    usable = [name for name in known_verbs() if name not in SERVERS]
    if verb not in usable:
        why = "cannot run in the daemon's pod" if verb in SERVERS else "is not a verb of isthmus"
        subject = Subject("command kubectl isthmus", "VERB", verb)
        raise CommandError(subject.problem(why, f"use one of {', '.join(usable)}"))


def main() -> None:
    """Run the plugin; exit status: that of the verb, or 1 or 2 if the verb was not started."""
    try:
        app(prog_name="kubectl isthmus")
    except CommandError as error:
        print_problems(error.problems)
        raise SystemExit(1) from error

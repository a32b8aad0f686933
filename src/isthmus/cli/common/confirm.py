"""The confirmation of verbs that remove or replace something: `--yes`, `--dry-run`, or a question.

Such a verb first prints what it would change, then calls `confirmed`, then changes it.
"""

import sys
from typing import Annotated

import typer

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import print_lines
from isthmus.model.problems import Subject
from isthmus.model.text import printable

YesOption = Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
]


def confirmed(subject: str, consequence: str, remedy: str, *, yes: bool, dry_run: bool) -> bool:
    """Whether to proceed; on a terminal, the operator is asked unless `yes` or `dry_run` is given.

    Args:
        subject: the object that changes, for the error.
        consequence: a sentence without a full stop, for the question and the error.
        remedy: what to check first; "then give --yes" is added.

    Raises:
        CommandError: there is no terminal to ask on, and `yes` is not given.
    """
    if dry_run:
        print_lines("nothing was changed: --dry-run")
        return False
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = f"is not given, and {consequence}; nothing was changed"
        raise CommandError(Subject(subject, "--yes").problem(message, f"{remedy}, then give --yes"))
    if typer.confirm(printable(f"{consequence[0].upper()}{consequence[1:]}. Continue?")):
        return True
    print_lines("nothing was changed")
    raise typer.Exit(1)

"""How verbs print: text for users, JSON for programs, problems for both.

Called by every verb. Standard output carries only the answer; problems go to standard error.
Colours appear only on a terminal, and not if `NO_COLOR` is set (no-color.org).
"""

import json
import os
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from isthmus.model.problems import Problem
from isthmus.model.text import printable, printable_lines, printable_text


class Output(StrEnum):
    """The formats of `-o/--output`."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="Print text for users, or JSON for programs.")
]
"""The annotation of a verb's parameter `output: OutputOption = Output.TEXT`."""


def print_lines(*lines: str) -> None:
    """Print lines to standard output, safely whatever values they hold (`isthmus.model.text`)."""
    typer.echo(printable_lines(lines))


def print_text(text: str) -> None:
    """Print a rendered text of several lines to standard output, as safely as `print_lines`."""
    typer.echo(printable_text(text))


def print_json(value: Any) -> None:
    """Print a value made of dicts, lists, str, int, bool and None as indented JSON.

    Keys keep their order: the most important one comes first. What is not printable is escaped.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    safe = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    typer.echo("".join(safe))


def print_problems(problems: Iterable[Problem]) -> None:
    """Print problems to standard error: what is wrong where, and on a second line the remedy."""
    for problem in problems:
        label, where = _styled("error: ", "red"), _styled(problem.where)
        typer.echo(f"{label}{where}: {printable(problem.message)}", err=True)
        typer.echo(f"  {_styled('remedy: ', 'green')}{printable(problem.remedy)}", err=True)


def _styled(text: str, color: str | None = None) -> str:
    """Bold text; typer removes the style if standard error is not a terminal."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, bold=True, fg=color)

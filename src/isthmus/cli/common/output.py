"""How verbs print: text for people, JSON for programs, problems for both.

Called by every verb. Standard output carries the answer and nothing else; problems go to
standard error. Colours appear only on a terminal (and never with NO_COLOR, as rich has it).
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from isthmus.model.problems import Problem

_UNLIMITED = 100_000
"""Columns; more than any row has."""


class Output(StrEnum):
    """The formats of `-o/--output`."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="Print text for people, or JSON for programs.")
]
"""The annotation of a verb's parameter `output: OutputOption = Output.TEXT`."""


def console() -> Console:
    """Standard output; text is printed as it is, whatever brackets or numbers it holds.

    Tables, too, have all of their cells: a row that is too long is wrapped by the terminal.
    """
    # Tables are laid out in the console's width, and cut to it. A dumb terminal's is taken for
    # 80 unless the height is given as well; it serves for nothing else.
    width, height = _UNLIMITED, 25
    return Console(
        width=width, height=height, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


def error_console() -> Console:
    """Standard error, in the same way."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value made of dicts, lists, str, int, bool and None as indented JSON.

    Keys keep the order in which they were given: what matters most comes first.
    """
    # Not rich's print_json: it would wrap and colour what a program is to parse.
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_problems(problems: Iterable[Problem]) -> None:
    """Print problems to standard error: what is wrong where, and on a second line the remedy."""
    out = error_console()
    for problem in problems:
        out.print(_described(problem))


def _described(problem: Problem) -> Text:
    where = f"{problem.object}: {problem.key}" if problem.key else problem.object
    value = f" = {problem.value!r}" if problem.value else ""
    return Text.assemble(
        ("error: ", "bold red"),
        (where + value, "bold"),
        f": {problem.message}\n",
        ("  remedy: ", "green"),
        problem.remedy,
    )

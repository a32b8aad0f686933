"""Makes groups of verbs, all with the same look."""

from typing import Any

import typer


def group(summary: str = "", **options: Any) -> typer.Typer:
    """A group of verbs that prints its help when called without one.

    Args:
        summary: one line for the help of the group above; empty to use a callback's docstring.
        options: further arguments of `typer.Typer`.
    """
    # Plain help instead of rich's panels: rich takes longer to import than everything else.
    if summary:
        options["help"] = summary
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, **options)

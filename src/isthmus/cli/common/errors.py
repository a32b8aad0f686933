"""The error of verbs; `isthmus.cli.main` prints its problems and exits with status 1.

Lower layers have errors of their own, which the verb that calls them turns into this one.
"""

from collections.abc import Iterable

from isthmus.model.problems import Problem


class CommandError(Exception):
    """The command cannot be carried out.

    Args:
        problems: at least one, the most important first.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raise `CommandError` unless `problems` is empty."""
    found = tuple(problems)
    if found:
        raise CommandError(*found)

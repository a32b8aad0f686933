"""What a verb raises when people must mend something; `isthmus.cli.main` prints it and exits 1.

Lower layers have errors of their own; the verb that calls them turns those into this one.
"""

from collections.abc import Iterable

from isthmus.model.problems import Problem, Subject


class CommandError(Exception):
    """The command cannot do what it was asked to.

    Args:
        problems: at least one, most important first; printed one per paragraph.
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


def unconfirmed(what: str, message: str) -> Problem:
    """What to say if --yes is missing."""
    return Subject(what, "--yes").problem(f"{message}; nothing was changed", "give --yes to do it")

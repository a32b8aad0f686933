"""What every target checks. Used by `fuzz.targets`."""

from collections.abc import Iterable

from isthmus.model.problems import Problem


class BrokenPromiseError(Exception):
    """The code under test accepted or printed what it must not."""


def require(promise: bool, what: str) -> None:
    """Raise an error with `what` unless the promise is kept."""
    if not promise:
        raise BrokenPromiseError(what)


def require_line(text: str) -> None:
    """Require one line without control characters."""
    require(text.isprintable(), f"not printable: {text!r}")


def require_named(problems: Iterable[Problem]) -> None:
    """Require problems that name the object, say what is wrong and what to do, in one line."""
    for problem in problems:
        require_line(str(problem))
        require(len(str(problem)) < 2000, f"too long: {str(problem)[:2000]}")
        require(bool(problem.object and problem.message and problem.remedy), f"empty: {problem!r}")

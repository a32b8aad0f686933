"""What the lab raises when people must mend something; the command line prints it."""

from isthmus.cli.common.errors import CommandError
from isthmus.model.problems import Subject


class LabError(CommandError):
    """The lab cannot do what it was asked to; carries the problems for people."""


def lab_error(obj: str, message: str, remedy: str, *, key: str = "", value: str = "") -> LabError:
    """A `LabError` of one problem.

    Args:
        obj: what it is about, e.g. "lab demo" or "node az1-gw".
        message: what is wrong.
        remedy: what to do about it.
        key: the field within the object.
        value: the bad value as found.
    """
    return LabError(Subject(obj, key, value).problem(message, remedy))

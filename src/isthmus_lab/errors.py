"""The errors of the lab, which the command line prints as problems with remedies."""

from isthmus.cli.common.errors import CommandError
from isthmus.model.problems import Subject


class LabError(CommandError):
    """The lab cannot carry out a request; has one or more problems."""


def lab_error(obj: str, message: str, remedy: str, *, key: str = "", value: str = "") -> LabError:
    """A `LabError` with one problem.

    Args:
        obj: the object, e.g. "lab demo" or "node az1-gw".
        message: what is wrong.
        remedy: how to fix it.
        key: the field of the object.
        value: the bad value.
    """
    return LabError(Subject(obj, key, value).problem(message, remedy))

"""The error that the parsers of values raise; `configmap` turns it into problems."""

from dataclasses import dataclass
from typing import Any

from isthmus.model.bounds import CONFIG_ENTRIES, CONFIG_NAME

TOO_LONG = (
    f"is longer than {CONFIG_NAME.most} characters",
    f"use a name of at most {CONFIG_NAME.most} characters",
)
"""Message and remedy of a name that is too long."""


def too_many(found: int) -> tuple[str, str]:
    """Message and remedy of a value with too many entries."""
    return (
        f"has {found} entries, more than the limit of {CONFIG_ENTRIES.most}",
        f"list at most {CONFIG_ENTRIES.most}",
    )


@dataclass(frozen=True, slots=True)
class ValueFault:
    """One fault of a value.

    Args:
        message: what is wrong.
        remedy: how to correct it.
        path: the place within the value, e.g. ".az2.prefixes[0]"; empty for the whole value.
        value: what was found there; None to show the whole value if `path` is empty.
    """

    message: str
    remedy: str
    path: str = ""
    value: Any = None


class InvalidValueError(Exception):
    """A value of the ConfigMap is not valid; `faults` has everything that is wrong with it."""

    def __init__(self, *faults: ValueFault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


def invalid(message: str, remedy: str) -> InvalidValueError:
    """The error for a value with one fault."""
    return InvalidValueError(ValueFault(message, remedy))

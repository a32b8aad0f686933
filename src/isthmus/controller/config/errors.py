"""What is wrong with a value of the configuration. Raised by its parsers, read by `config`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a value.

    Args:
        message: what is wrong.
        remedy: what to do about it.
        path: where within the value, e.g. ".az2.prefixes[0]"; empty for the value itself.
        value: what was found there; None to show the whole value if `path` is empty.
    """

    message: str
    remedy: str
    path: str = ""
    value: Any = None


class BadValueError(Exception):
    """A value that cannot be, with everything that is wrong with it."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


def bad(message: str, remedy: str) -> BadValueError:
    """The error of a value with one fault."""
    return BadValueError(Fault(message, remedy))

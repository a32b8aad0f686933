"""What clients wrote, and what they were told of it: values, and the lines of a file. Pure.

Each row has one client, which writes it in one transaction after the other. Every change says which
value it expects to find, and does nothing if there is another: so one whose end was never told
cannot take effect after a later one has.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import NewType

Key = NewType("Key", str)
"""The name of a row."""

Value = int | None
"""What is in a row; None where there is no row. No value is written twice."""


class Outcome(Enum):
    """What a client was told of a write."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """By an error. A server that tries again after an election may have done it the first time."""
    UNKNOWN = "unknown"
    """The connection was lost before the answer, or the row was found with another value."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write.

    Args:
        database: "nb" or "sb".
        client, number: whose, and which of its; in the order in which they were sent.
        key: of which row.
        expected: the value before.
        value: the value after.
        server: who was asked, e.g. "tcp:192.0.2.1:6645".
        started, ended: seconds, monotonic.
        outcome: what was said.
        error: why it was refused.
    """

    database: str
    client: str
    number: int
    key: Key
    expected: Value
    value: Value
    server: str
    started: float
    ended: float = 0.0
    outcome: Outcome = Outcome.UNKNOWN
    error: str = ""

    def end(self, at: float, outcome: Outcome, error: str = "") -> "Write":
        """The same, with its end."""
        return replace(self, ended=at, outcome=outcome, error=error)


def to_line(write: Write) -> str:
    """A line of JSON: one when it is sent, and another when its end is told."""
    return json.dumps({**asdict(write), "outcome": write.outcome.value})


def from_lines(lines: Iterable[str]) -> list[Write]:
    """The writes in these lines, in order; of one without an end, the outcome is unknown.

    Args:
        lines: of any clients; the last of each may be cut short.
    """
    found: dict[tuple[str, str, int], Write] = {}
    for line in lines:
        if not line.endswith("\n"):
            continue
        fields = json.loads(line)
        write = Write(**{**fields, "outcome": Outcome(fields["outcome"])})
        found[write.database, write.client, write.number] = write
    return list(found.values())

"""What clients wrote and which outcomes they saw: values, and the lines of a file. Pure.

Each row belongs to one client, which writes it in one transaction after another. Every update
states the value that it expects and does nothing if another is found. So a write with an unknown
outcome cannot take effect after a later one.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import NewType

Key = NewType("Key", str)
"""The key of a row."""

Value = int | None
"""The value of a row; None if there is no row. No value is written twice."""


class Outcome(Enum):
    """The outcome of a write, as the client saw it."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """The server returned an error. A server that retries after an election may have executed it.
    """
    UNKNOWN = "unknown"
    """The connection was lost before the reply, or the row had another value."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write.

    Args:
        database: "nb" or "sb".
        client, number: the client, and its consecutive number of the write.
        key: of the row.
        expected: the value before.
        value: the value after.
        server: the server that got the request, e.g. "tcp:192.0.2.1:6645".
        started, ended: monotonic seconds.
        outcome: as the client saw it.
        error: why the server refused it.
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
        """The same write with its end."""
        return replace(self, ended=at, outcome=outcome, error=error)


def to_line(write: Write) -> str:
    """A line of JSON: one when the write is sent, another when its outcome is known."""
    return json.dumps({**asdict(write), "outcome": write.outcome.value})


def from_lines(lines: Iterable[str]) -> list[Write]:
    """The writes in these lines, in order. Without an end, the outcome is unknown.

    Args:
        lines: of any clients; the last line of each client may be truncated.
    """
    found: dict[tuple[str, str, int], Write] = {}
    for line in lines:
        if not line.endswith("\n"):
            continue
        fields = json.loads(line)
        write = Write(**{**fields, "outcome": Outcome(fields["outcome"])})
        found[write.database, write.client, write.number] = write
    return list(found.values())

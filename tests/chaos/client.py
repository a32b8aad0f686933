"""A client of both IC databases: `python -m chaos.client NAME NUMBER NB SB FILE`, until SIGTERM.

`play` starts each client as a process. It connects with the sessions that zones use, and inserts,
updates and deletes rows of its own, one transaction at a time per database. It appends every
request and outcome to the file immediately, so that a kill loses no record.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.history import Key, Outcome, Value, Write, to_line
from isthmus.engine.transactions import Committed, Failed, Result
from isthmus.model.operations import Delete, Insert, Operation, Update, Wait
from isthmus.model.operations import Value as Column
from isthmus.model.rows import Database, IcDatapathBinding, Row, RowId, TransitSwitch
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session

ROWS = 20
"""Number of rows in a database from which on a client deletes as many as it inserts."""

PAUSE = 0.15
"""Average seconds between two writes."""

LAST = 3.0
"""Seconds that the last write may take once the client has to stop."""

VALUES = 1_000_000
"""Number of values per client; tunnel keys allow 16 times as many."""


@dataclass(frozen=True, slots=True)
class Table:
    """How rows are written in a database: the columns for key and value.

    Args:
        database, short: the database and its short name.
        kind: the table.
        key: the column that identifies a row.
        columns: columns for a value.
        value: the value of a row; None if it does not belong to any client.
    """

    database: Database
    short: str
    kind: type[Row]
    key: str
    columns: Callable[[int], Mapping[str, Column]]
    value: Callable[[Row], Value]


def _switch_value(row: Row) -> Value:
    assert isinstance(row, TransitSwitch)
    return int(row.external_ids["chaos"]) if "chaos" in row.external_ids else None


def _datapath_value(row: Row) -> Value:
    assert isinstance(row, IcDatapathBinding)
    return row.tunnel_key


SWITCHES = Table(
    Database.IC_NB, "nb", TransitSwitch, "name",
    lambda value: {"external_ids": {"chaos": str(value)}}, _switch_value,
)  # fmt: skip
DATAPATHS = Table(
    Database.IC_SB, "sb", IcDatapathBinding, "transit_switch",
    lambda value: {"tunnel_key": value}, _datapath_value,
)  # fmt: skip


class Writer:
    """Writes to one database.

    Args:
        table: how rows are written.
        client, number: name and number of the client; the number is unique and below 16.
        remote: all members.
        note: called with each line of history.
    """

    def __init__(
        self, table: Table, client: str, number: int, remote: str, note: Callable[[str], None]
    ) -> None:
        self._table, self._client, self._note = table, client, note
        self._session = Session(table.database, remote, (table.kind,))
        self._generation = 0
        self._rows: dict[Key, tuple[RowId, int]] = {}
        self._random = random.Random(f"{client} {table.short}")  # noqa: S311 - for variety
        self._base, self._count = number * VALUES, 0
        self._pending: Write | None = None
        self._due = 0.0

    @property
    def idle(self) -> bool:
        """Whether no write is in progress."""
        return self._pending is None

    def run(self, more: bool) -> None:
        """Do all work that is possible without waiting; start another write only if allowed."""
        self._follow()
        reply = self._session.reply() if self._pending else None
        if reply is not None and self._pending is not None:
            self._note(to_line(self._pending.end(time.monotonic(), *_outcome(reply))))
            self._pending = None
            self._due = time.monotonic() + self._random.expovariate(1 / PAUSE)
        if more and self.idle and self._session.writable and time.monotonic() >= self._due:
            self._send()

    def wait(self, poller: Poller) -> None:
        """Register with the poller what `run` waits for."""
        self._session.wait(poller)
        if self.idle and self._session.writable:
            poller.wake_in(self._due - time.monotonic())

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _follow(self) -> None:
        changes = self._session.run()
        if self._generation != self._session.generation:
            self._generation = self._session.generation
            self._rows.clear()
        for change in changes:
            row = change.row
            key = Key(getattr(row, self._table.key))
            value = None if change.new is None else self._table.value(change.new)
            if not key.startswith(f"{self._client}-"):
                continue
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row.uuid, value

    def _send(self) -> None:
        self._count += 1
        value = self._base + self._count
        do = self._random.choice(("insert", "change", "change", "delete"))
        if do == "insert" or len(self._rows) < ROWS:
            key = Key(f"{self._client}-{self._count}")
            self._begin(key, None, value, self._insertion(key, value))
            return
        key = self._random.choice(sorted(self._rows))
        uuid, expected = self._rows[key]
        after = None if do == "delete" else value
        self._begin(key, expected, after, self._change(uuid, expected, after))

    def _insertion(self, key: Key, value: int) -> list[Operation]:
        return [Insert(self._table.kind, {self._table.key: key, **self._table.columns(value)})]

    def _change(self, uuid: RowId, expected: int, value: Value) -> list[Operation]:
        kind, columns = self._table.kind, self._table.columns
        change = Delete(kind, uuid) if value is None else Update(kind, uuid, columns(value))
        return [Wait(kind, uuid, columns(expected)), change]

    def _begin(self, key: Key, expected: Value, value: Value, ask: Iterable[Operation]) -> None:
        replica = self._session._replica
        server = replica._session.get_name() if replica is not None else ""
        started = time.monotonic()
        self._pending = Write(
            self._table.short, self._client, self._count, key, expected, value, server, started
        )
        self._note(to_line(self._pending))
        self._session.transact(ask, f"{self._client} {self._count}")


def _outcome(reply: Result) -> tuple[Outcome, str]:
    if isinstance(reply, Committed):
        return Outcome.ACKNOWLEDGED, ""
    # `TryAgain` also covers connections that broke after the request: it may have been executed.
    return (Outcome.REFUSED, reply.error) if isinstance(reply, Failed) else (Outcome.UNKNOWN, "")


def main() -> None:
    """Write until SIGTERM."""
    name, number, nb, sb, file = sys.argv[1:]
    stopped: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(time.monotonic()))
    with Path(file).open("w", encoding="utf-8") as history:

        def note(line: str) -> None:
            history.write(line + "\n")
            history.flush()

        writers = [
            Writer(SWITCHES, name, int(number), nb, note),
            Writer(DATAPATHS, name, int(number), sb, note),
        ]
        while not _over(stopped, writers):
            poller = Poller()
            for writer in writers:
                writer.run(more=not stopped)
                writer.wait(poller)
            poller.wake_in(
                0.5
            )  # A signal that arrives before the next line does not interrupt the wait.
            poller.block()
        for writer in writers:
            writer.close()


def _over(stopped: list[float], writers: list[Writer]) -> bool:
    if not stopped:
        return False
    return all(writer.idle for writer in writers) or time.monotonic() > stopped[0] + LAST


if __name__ == "__main__":
    main()

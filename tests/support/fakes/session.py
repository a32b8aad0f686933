"""Sessions to fake databases, for tests of the daemon without servers, sockets or waiting."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from isthmus.daemon import loop, sessions
from isthmus.engine.transactions import Result
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.rows import Database, Row
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.streams.tls import Fault
from support.fakes.ovsdb import FakeDatabase


class FakeSession:
    """A session whose server is a `FakeDatabase`.

    Tests set `answers` and `lock_free`; as with a real session, both take effect in `run`. Replies
    come at the next `reply`.
    """

    databases: Mapping[Database, FakeDatabase]
    opened: "list[FakeSession]"

    def __init__(
        self, database: Database, remote: str, *, lock: str, probe_interval: int | None
    ) -> None:
        self.database, self.remote, self.lock = database, remote, lock
        self.probe_interval = probe_interval
        self.answers = self.lock_free = True
        self.connected = self._lock_held = self.closed = False
        self.lock_wanted = True
        self.generation = 0
        self.columns: Mapping[type[Row], Mapping[str, frozenset[str]]] = {}
        self.last_error = ""
        self.fault: Fault | None = None
        self.clear_text_hint = self.ip_addresses = ""
        self._changes: list[Change] = []
        self._replies: deque[Result] = deque()
        FakeSession.opened.append(self)

    @property
    def synced(self) -> bool:
        return self.connected and self.generation > 0

    @property
    def has_lock(self) -> bool:
        return not self.lock or (self.connected and self._lock_held)

    @property
    def writable(self) -> bool:
        return self.synced and self.has_lock

    def run(self) -> list[Change]:
        self.connected = self.answers
        self._lock_held = self.lock_wanted and self.lock_free
        if not self.connected:
            return []
        if not self.generation:
            self.restart()
        changes = [*self._changes]
        self._changes.clear()
        return changes

    def restart(self) -> None:
        """Start over, as a session does whose server has another schema."""
        self.generation += 1
        self._changes = FakeSession.databases[self.database].observe()

    def transact(self, operations: Iterable[Operation], _comment: str) -> None:
        self._replies.append(FakeSession.databases[self.database].transact(operations))

    def reply(self) -> Result | None:
        return self._replies.popleft() if self._replies else None

    def want_lock(self, wanted: bool) -> None:
        self.lock_wanted = wanted

    def set_probe_interval(self, milliseconds: int | None) -> None:
        self.probe_interval = milliseconds

    def wait(self, poller: Poller) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class FakePoller:
    """A poller that records what the loop would wait for, and never waits."""

    last: "FakePoller | None" = None

    def __init__(self) -> None:
        self.wakes: list[float] = []
        self.files: list[int] = []
        FakePoller.last = self

    def wait_readable(self, fd: int) -> None:
        self.files.append(fd)

    def wake_in(self, seconds: float) -> None:
        self.wakes.append(seconds)

    def block(self) -> None:
        pass


@contextmanager
def fake_sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[Database, FakeDatabase]]:
    """Let the daemon connect to fake databases, which are returned, and never block."""
    make = FakeDatabase(Database.NB).beside
    FakeSession.databases = {database: make(database) for database in Database}
    FakeSession.opened = []
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "Session", FakeSession)
        patch.setattr(loop, "Poller", FakePoller)
        yield FakeSession.databases

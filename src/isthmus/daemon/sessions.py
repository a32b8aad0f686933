"""The daemon's sessions to the four databases.

Used by the loop alone. Invariant: a database that is unreachable, or is being replaced by another
one, never looks empty to the engine; the view keeps what was last known until the new contents
are complete, and both arrive as one batch of changes.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Committed, Failed, Result, Transaction, TryAgain
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session

PATIENCE = 3.0
"""Seconds without an answer after which a database is reported as unreachable: longer than a
server's restart, shorter than an operator's patience."""

LOCK = "ovn_ic"
"""The lock on SB that the one active daemon of a zone holds, as `ovn-ic` does."""

CONTROLLER_LOCK = "isthmus_controller"
"""The lock on SB of a controller that works beside `ovn-ic`."""


class _State(Enum):
    """How far a session has got; AWAY and REACHED for long are problems."""

    AWAY = auto()
    REACHED = auto()
    SYNCED = auto()


@dataclass(slots=True)
class _Link:
    """One session, and what the loop knows of it; `since` when it is in its state."""

    session: Session
    since: float
    state: _State = _State.AWAY
    generation: int = 0
    sent: deque[Transaction] = field(default_factory=deque)

    def observe(self, now: float) -> None:
        """Take note of the session's state.

        A server that accepts connections and gives nothing, or drops them again, stays REACHED.
        """
        session, before = self.session, self.state
        if session.synced:
            self.state = _State.SYNCED
        elif session.connected:
            self.state = _State.REACHED
        elif before is _State.SYNCED:
            self.state = _State.AWAY
        if self.state is not before:
            self.since = now

    @property
    def overdue(self) -> float | None:
        """When it becomes a problem that it is not synchronised: monotonic seconds."""
        return None if self.state is _State.SYNCED else self.since + PATIENCE

    def problem(self, now: float) -> tuple[str, str] | None:
        """What is wrong, if anything, and what to do about it."""
        if error := self.session.last_error:
            return error, "check the address, and that its server has this database"
        if self.overdue is None or now < self.overdue:
            return None
        if fault := self.session.tls_fault:
            return fault
        if self.state is _State.AWAY:
            remedy = "check the address, and that its server runs there"
            return "cannot be reached", remedy + self.session.clear_text_hint
        remedy = "check that its server is not overloaded and, of a cluster, that it has a leader"
        message = "can be reached, but does not give its contents"
        return message, remedy + self.session.clear_text_hint


class Databases:
    """Sessions by database.

    Args:
        view: what the engine sees; read here when a database is replaced.
        probe_interval: milliseconds between keepalive probes, or None for the default.
        lock: the lock on SB without which nothing is written.
    """

    def __init__(self, view: View, probe_interval: int | None = None, lock: str = LOCK) -> None:
        self._view, self._lock = view, lock
        self._probe_intervals: dict[Database, int | None] = dict.fromkeys(Database, probe_interval)
        self._links: dict[Database, _Link] = {}
        self._locks_wanted = True
        self.synced: set[Database] = set()
        self.paused = False

    def use(self, database: Database, remote: str, engine: Engine, now: float) -> None:
        """Connect to a database, instead of where it was so far; an empty remote: to none."""
        link = self._links.get(database)
        if link is not None and link.session.remote == remote:
            return
        if link is not None:
            link.session.close()
            engine.abandon(database)
            self.synced.discard(database)
            del self._links[database]
            self._release_or_take()
        if remote:
            lock = self._lock if database is Database.SB else ""
            interval = self._probe_intervals[database]
            session = Session(database, remote, lock=lock, probe_interval=interval)
            session.want_lock(self._locks_wanted)
            self._links[database] = _Link(session, now)

    def probe(self, database: Database, milliseconds: int | None) -> None:
        """Change the interval of keepalive probes; None is the default, 0 is off."""
        if self._probe_intervals[database] != milliseconds:
            self._probe_intervals[database] = milliseconds
            if database in self._links:
                self._links[database].session.set_probe_interval(milliseconds)

    def pause(self) -> None:
        """Write nothing more; the locks are released when what was sent has ended."""
        self.paused = True
        self._release_or_take()

    def resume(self) -> None:
        """Take the locks again, and write when they are held."""
        self.paused = False
        self._release_or_take()

    @property
    def remotes(self) -> dict[Database, str]:
        """Where the databases in use are."""
        return {database: link.session.remote for database, link in self._links.items()}

    def connected(self, database: Database) -> bool:
        """Whether a database answers at the moment."""
        link = self._links.get(database)
        return link is not None and link.session.connected

    def run(self, now: float) -> list[Change]:
        """What has happened in all databases."""
        changes: list[Change] = []
        for database, link in self._links.items():
            came = link.session.run()
            link.observe(now)
            if link.session.synced and link.generation != link.session.generation:
                link.generation = link.session.generation
                for kind, columns in link.session.columns.items():
                    self._view.schema.learn(kind, columns)
                self.synced.add(database)
                changes += self._view.vanish(database)
            changes += came
        return changes

    def writable(self) -> set[Database]:
        """The databases to which a transaction may be sent now: none without the lock."""
        sb = self._links.get(Database.SB)
        if self.paused or sb is None or not sb.session.has_lock:
            return set()
        return {database for database, link in self._links.items() if link.session.writable}

    @property
    def active(self) -> bool:
        """Whether this daemon holds the zone's lock."""
        sb = self._links.get(Database.SB)
        return not self.paused and sb is not None and sb.session.synced and sb.session.has_lock

    def send(self, transaction: Transaction) -> None:
        """Send a transaction that the engine planned."""
        link = self._links[transaction.database]
        link.sent.append(transaction)
        link.session.transact(transaction.operations, transaction.comment)

    def ended(self) -> Iterator[tuple[Transaction, Result]]:
        """The transactions that have ended, each told once."""
        for link in self._links.values():
            while (reply := link.session.reply()) is not None:
                transaction = link.sent.popleft()
                self._release_or_take()
                if reply.committed:
                    yield transaction, Committed()
                elif reply.retry:
                    yield transaction, TryAgain()
                else:
                    yield transaction, Failed(reply.error, reply.details)

    def _release_or_take(self) -> None:
        """Have the locks wanted or not; whoever gets them next must not meet writes of ours."""
        if self._locks_wanted is not self.paused or self._in_flight():
            return
        self._locks_wanted = not self.paused
        for link in self._links.values():
            link.session.want_lock(self._locks_wanted)

    def _in_flight(self) -> bool:
        return any(link.sent for link in self._links.values())

    def problems(self, now: float) -> list[Problem]:
        """The databases that do not answer."""
        found = ((database, link, link.problem(now)) for database, link in self._links.items())
        return [
            Subject(f"database {database}", "remote", link.session.remote).problem(
                *problem, Reason.DATABASE_UNREACHABLE
            )
            for database, link, problem in found
            if problem is not None
        ]

    def next_wakeup(self, now: float) -> float | None:
        """When a database that does not answer becomes a problem: monotonic seconds."""
        due = (link.overdue for link in self._links.values())
        return min((moment for moment in due if moment is not None and moment > now), default=None)

    def wait(self, poller: Poller) -> None:
        """Have the poller wake when there is something to do."""
        for link in self._links.values():
            link.session.wait(poller)

    def close(self) -> None:
        """Give all connections up; the server releases the lock."""
        for link in self._links.values():
            link.session.close()
        self._links.clear()

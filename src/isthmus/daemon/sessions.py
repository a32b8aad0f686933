"""The daemon's sessions to the four databases.

Used by the loop alone. Invariant: a database that is unreachable, or is being replaced by another
one, never looks empty to the engine. The view keeps the last known rows until the new contents are
complete, and both arrive as one batch of changes.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Result, Transaction
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from isthmus.ovsdb.streams.tls import Fault

PATIENCE = 3.0
"""Seconds without an answer after which a database is reported as unreachable: longer than a
server takes to restart, shorter than operators wait."""

LOCK = "ovn_ic"
"""The lock on SB that only the active daemon of a zone holds, as `ovn-ic` does."""

CONTROLLER_LOCK = "isthmus_controller"
"""The lock on SB of a controller that runs next to `ovn-ic`."""


class _Phase(Enum):
    """How far a session has got; UNREACHED or CONNECTED for long is a problem."""

    UNREACHED = auto()
    CONNECTED = auto()
    SYNCED = auto()


@dataclass(slots=True)
class _TrackedSession:
    """A session with its phase, and when that began (monotonic seconds).

    Args:
        generation: of the contents in the view, see `Session`.
        sent: the transactions in flight, in order.
    """

    session: Session
    since: float
    phase: _Phase = _Phase.UNREACHED
    generation: int = 0
    sent: deque[Transaction] = field(default_factory=deque)

    def observe(self, now: float) -> None:
        """Update the phase.

        A server that accepts connections and sends nothing, or drops them, stays CONNECTED. So does
        a server whose schema arrived in the turn of the connection, which the replica makes again.
        """
        session, before = self.session, self.phase
        if session.synced:
            self.phase = _Phase.SYNCED
        elif session.connected or session.generation > self.generation:
            self.phase = _Phase.CONNECTED
        elif before is _Phase.SYNCED:
            self.phase = _Phase.UNREACHED
        if self.phase is not before:
            self.since = now

    @property
    def overdue(self) -> float | None:
        """When not being synchronised becomes a problem: monotonic seconds; None if it is."""
        return None if self.phase is _Phase.SYNCED else self.since + PATIENCE

    def problem(self, now: float) -> Fault | None:
        """Its problem, if it has one, or message and remedy."""
        if error := self.session.last_error:
            return error, "check the address, and that the server has this database"
        if self.overdue is None or now < self.overdue:
            return None
        if fault := self.session.fault:
            return fault
        if self.phase is _Phase.UNREACHED:
            remedy = "check the address, and that the server runs"
            message = f"cannot be reached{self.session.ip_addresses}"
            return message, remedy + self.session.clear_text_hint
        remedy = "check that the server is not overloaded and that its cluster has a leader"
        message = "accepts connections, but does not send its contents"
        return message, remedy + self.session.clear_text_hint


class DatabaseSessions:
    """Sessions by database.

    Args:
        view: of the engine; read here when a database is replaced.
        probe_interval: milliseconds between keepalive probes, or None for the default.
        lock: the lock on SB without which nothing is written.

    Attributes:
        synced: the databases that have been read in full at least once.
        paused: whether `pause` was called last, not `resume`.
    """

    def __init__(self, view: View, probe_interval: int | None = None, lock: str = LOCK) -> None:
        self._view, self._lock = view, lock
        self._probe_intervals: dict[Database, int | None] = dict.fromkeys(Database, probe_interval)
        self._sessions: dict[Database, _TrackedSession] = {}
        self._locks_wanted = True
        self.synced: set[Database] = set()
        self.paused = False

    def use(self, database: Database, remote: str, engine: Engine, now: float) -> None:
        """Connect to a database at `remote` instead of its present one; if empty, disconnect."""
        tracked = self._sessions.get(database)
        if tracked is not None and tracked.session.remote == remote:
            return
        if tracked is not None:
            tracked.session.close()
            engine.abandon(database)
            self.synced.discard(database)
            del self._sessions[database]
            self._follow_pause()
        if remote:
            lock = self._lock if database is Database.SB else ""
            interval = self._probe_intervals[database]
            session = Session(database, remote, lock=lock, probe_interval=interval)
            session.want_lock(self._locks_wanted)
            self._sessions[database] = _TrackedSession(session, now)

    def probe(self, database: Database, milliseconds: int | None) -> None:
        """Set the interval between keepalive probes: None is the default, 0 is off."""
        if self._probe_intervals[database] != milliseconds:
            self._probe_intervals[database] = milliseconds
            if database in self._sessions:
                self._sessions[database].session.set_probe_interval(milliseconds)

    def pause(self) -> None:
        """Write nothing more; release the locks when no transaction is in flight."""
        self.paused = True
        self._follow_pause()

    def resume(self) -> None:
        """Request the locks again, and write when they are held."""
        self.paused = False
        self._follow_pause()

    @property
    def remotes(self) -> dict[Database, str]:
        """The addresses of the databases in use."""
        return {database: tracked.session.remote for database, tracked in self._sessions.items()}

    def connected(self, database: Database) -> bool:
        """Whether a database answers now."""
        tracked = self._sessions.get(database)
        return tracked is not None and tracked.session.connected

    def run(self, now: float) -> list[Change]:
        """Run all sessions and return the changes of all databases."""
        changes: list[Change] = []
        for database, tracked in self._sessions.items():
            came = tracked.session.run()
            tracked.observe(now)
            if tracked.session.synced and tracked.generation != tracked.session.generation:
                tracked.generation = tracked.session.generation
                for kind, columns in tracked.session.columns.items():
                    self._view.schema.learn(kind, columns)
                self.synced.add(database)
                changes += self._view.vanish(database)
            changes += came
        return changes

    def writable(self) -> set[Database]:
        """The databases to which a transaction may be sent now: none without the lock."""
        sb = self._sessions.get(Database.SB)
        if self.paused or sb is None or not sb.session.has_lock:
            return set()
        return {
            database for database, tracked in self._sessions.items() if tracked.session.writable
        }

    @property
    def active(self) -> bool:
        """Whether this daemon holds the zone's lock."""
        sb = self._sessions.get(Database.SB)
        return not self.paused and sb is not None and sb.session.synced and sb.session.has_lock

    def send(self, transaction: Transaction) -> None:
        """Send a transaction that the engine planned."""
        tracked = self._sessions[transaction.database]
        tracked.sent.append(transaction)
        tracked.session.transact(transaction.operations, transaction.comment)

    def ended(self) -> Iterator[tuple[Transaction, Result]]:
        """The transactions that have ended, each once."""
        for tracked in self._sessions.values():
            while (result := tracked.session.reply()) is not None:
                transaction = tracked.sent.popleft()
                self._follow_pause()
                yield transaction, result

    def _follow_pause(self) -> None:
        """Request or release the locks; never while our writes could reach the next holder."""
        if self._locks_wanted is not self.paused or self._in_flight():
            return
        self._locks_wanted = not self.paused
        for tracked in self._sessions.values():
            tracked.session.want_lock(self._locks_wanted)

    def _in_flight(self) -> bool:
        return any(tracked.sent for tracked in self._sessions.values())

    def problems(self, now: float) -> list[Problem]:
        """The cause for each database that does not answer."""
        return [
            fault
            if isinstance(fault, Problem)
            else Subject(f"database {database}", "remote", tracked.session.remote).problem(
                *fault, Reason.DATABASE_UNREACHABLE
            )
            for database, tracked in self._sessions.items()
            if (fault := tracked.problem(now)) is not None
        ]

    def next_wakeup(self, now: float) -> float | None:
        """When a database that does not answer becomes a problem: monotonic seconds."""
        due = (tracked.overdue for tracked in self._sessions.values())
        return min((moment for moment in due if moment is not None and moment > now), default=None)

    def wait(self, poller: Poller) -> None:
        """Have the poller wake when there is something to do."""
        for tracked in self._sessions.values():
            tracked.session.wait(poller)

    def close(self) -> None:
        """Close all connections; the server then releases the lock."""
        for tracked in self._sessions.values():
            tracked.session.close()
        self._sessions.clear()

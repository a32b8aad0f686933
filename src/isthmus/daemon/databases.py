"""The daemon's sessions to the four databases.

Used by the loop alone. Invariant: a database that is unreachable, or is being replaced by another
one, never looks empty to the engine; the view keeps what was last known until the new contents
are complete, and both arrive as one batch of changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.model.changes import Change
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from isthmus.reconcile.engine import Committed, Engine, Failed, Result, Transaction, TryAgain
from isthmus.reconcile.view import View

PATIENCE = 3.0
"""Seconds without an answer after which a database is reported as unreachable: longer than a
server's restart, shorter than an operator's patience."""

LOCK = "ovn_ic"
"""The lock on SB that the one active daemon of a zone holds, as `ovn-ic` does."""


@dataclass(slots=True)
class _Link:
    """One session, and what the loop knows of it."""

    session: Session
    since: float
    fresh: bool = True
    transaction: Transaction | None = None


class Databases:
    """Sessions by database.

    Args:
        view: what the engine sees; read here when a database is replaced.
        probe_interval: milliseconds between keepalive probes, or None for the default.
    """

    def __init__(self, view: View, probe_interval: int | None = None) -> None:
        self._view = view
        self._probe_interval = probe_interval
        self._links: dict[Database, _Link] = {}
        self.synced: set[Database] = set()

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
        if remote:
            lock = LOCK if database is Database.SB else ""
            session = Session(database, remote, lock=lock, probe_interval=self._probe_interval)
            self._links[database] = _Link(session, now)

    def run(self, now: float) -> list[Change]:
        """What has happened in all databases."""
        changes: list[Change] = []
        for database, link in self._links.items():
            came = link.session.run()
            if link.session.connected:
                link.since = now
            if link.session.synced and link.fresh:
                link.fresh = False
                self.synced.add(database)
                changes += self._view.vanish(database)
            changes += came
        return changes

    def writable(self) -> set[Database]:
        """The databases to which a transaction may be sent now: none without the lock."""
        sb = self._links.get(Database.SB)
        if sb is None or not sb.session.has_lock:
            return set()
        return {database for database, link in self._links.items() if link.session.writable}

    @property
    def active(self) -> bool:
        """Whether this daemon holds the zone's lock."""
        sb = self._links.get(Database.SB)
        return sb is not None and sb.session.synced and sb.session.has_lock

    def send(self, transaction: Transaction) -> None:
        """Send a transaction that the engine planned."""
        link = self._links[transaction.database]
        link.transaction = transaction
        link.session.transact(transaction.operations, transaction.comment)

    def ended(self) -> Iterator[tuple[Transaction, Result]]:
        """The transactions that have ended, each told once."""
        for link in self._links.values():
            reply = link.session.reply()
            if reply is None or link.transaction is None:
                continue
            transaction, link.transaction = link.transaction, None
            if reply.committed:
                yield transaction, Committed()
            elif reply.retry:
                yield transaction, TryAgain()
            else:
                yield transaction, Failed(reply.error, reply.details)

    def problems(self, now: float) -> list[Problem]:
        """The databases that do not answer."""
        return [
            Problem(
                object=f"database {database}",
                key="remote",
                value=link.session.remote,
                message=link.session.last_error or "cannot be reached",
                remedy="check the address, and that its server runs and listens there",
            )
            for database, link in self._links.items()
            if now - link.since >= PATIENCE or link.session.last_error
        ]

    def next_wakeup(self, now: float) -> float | None:
        """When a database that does not answer becomes a problem: monotonic seconds."""
        due = (link.since + PATIENCE for link in self._links.values() if not link.session.connected)
        return min((moment for moment in due if moment > now), default=None)

    def wait(self, poller: Poller) -> None:
        """Have the poller wake when there is something to do."""
        for link in self._links.values():
            link.session.wait(poller)

    def close(self) -> None:
        """Give all connections up; the server releases the lock."""
        for link in self._links.values():
            link.session.close()
        self._links.clear()

"""The daemon's sessions, on fake databases: what is written when, and what is reported."""

from collections.abc import Iterator, Mapping

import pytest

from isthmus.daemon.sessions import PATIENCE, DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Committed, Failed, Transaction
from isthmus.engine.view import View
from isthmus.model.operations import Insert
from isthmus.model.problems import Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, TransitSwitch
from support.fakes.ovsdb import FakeDatabase
from support.fakes.session import FakeSession, fake_sessions


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[Database, FakeDatabase]]:
    """Four fake databases."""
    with fake_sessions(monkeypatch) as databases:
        yield databases


class Connected:
    """Sessions to all databases, with the view that follows them."""

    def __init__(self) -> None:
        self.view = View()
        self.engine = Engine(self.view, ())
        self.sessions = DatabaseSessions(self.view)
        for database in Database:
            self.sessions.use(database, f"unix:{database}", self.engine, 0.0)
        self.turn(0.0)

    def turn(self, now: float) -> None:
        self.engine.apply(self.sessions.run(now))

    def session(self, database: Database) -> FakeSession:
        return [one for one in FakeSession.opened if one.database is database][-1]

    @property
    def switches(self) -> list[str]:
        return sorted(row.name for row in self.view.table(TransitSwitch))


@pytest.fixture
def connected(databases: Mapping[Database, FakeDatabase]) -> Connected:
    """Sessions that are all synchronised; IC-NB has one transit switch."""
    databases[Database.IC_NB].transact([Insert(TransitSwitch, {"name": "ts"})])
    return Connected()


def insert(name: str) -> Transaction:
    return Transaction(Database.IC_NB, (Insert(TransitSwitch, {"name": name}),), ())


def test_writing_takes_the_lock(connected: Connected) -> None:
    """Without the lock on SB nothing may be written to any database."""
    assert connected.sessions.writable() == set(Database)
    connected.session(Database.SB).lock_free = False
    connected.turn(1.0)
    assert connected.sessions.writable() == set()
    assert not connected.sessions.active


def test_a_database_that_is_away_keeps_its_rows(connected: Connected) -> None:
    """Only the unreachable database cannot be written, and its rows stay in the view."""
    connected.session(Database.IC_NB).answers = False
    connected.turn(1.0)
    assert connected.sessions.writable() == set(Database) - {Database.IC_NB}
    assert connected.switches == ["ts"]
    assert connected.sessions.synced == set(Database)


def test_contents_that_start_anew_replace_the_rows(
    connected: Connected, databases: Mapping[Database, FakeDatabase]
) -> None:
    """After a change of the server's schema, rows that it no longer has are gone in one batch."""
    databases[Database.IC_NB].tables[TransitSwitch].clear()
    databases[Database.IC_NB].transact([Insert(TransitSwitch, {"name": "other"})])
    connected.session(Database.IC_NB).restart()
    connected.turn(1.0)
    assert connected.switches == ["other"]


def test_a_database_that_does_not_answer_is_reported_in_time(connected: Connected) -> None:
    """The problem comes after a while, is scheduled by next_wakeup, and ends with the outage."""
    sessions, session = connected.sessions, connected.session(Database.IC_SB)
    session.answers = False
    connected.turn(10.0)
    assert sessions.problems(10.0) == []
    assert sessions.next_wakeup(10.0) == 10.0 + PATIENCE
    (problem,) = sessions.problems(10.0 + PATIENCE)
    assert (problem.object, problem.reason) == (
        f"database {Database.IC_SB}",
        Reason.DATABASE_UNREACHABLE,
    )
    assert sessions.next_wakeup(10.0 + PATIENCE) is None
    session.answers = True
    connected.turn(20.0)
    assert sessions.problems(20.0) == []


def test_errors_and_tls_faults_are_reported_with_their_own_words(connected: Connected) -> None:
    """A missing database is reported at once, a TLS fault in place of "cannot be reached"."""
    session = connected.session(Database.NB)
    session.last_error = "the server has no database"
    assert connected.sessions.problems(0.0)[0].message == "the server has no database"
    session.last_error, session.answers = "", False
    session.fault = ("the certificate has expired", "issue a new one")
    connected.turn(1.0)
    (problem,) = connected.sessions.problems(1.0 + PATIENCE)
    assert (problem.message, problem.remedy) == session.fault


def test_an_expired_certificate_is_the_cause_and_is_reported_alone(connected: Connected) -> None:
    """The problem of the certificate takes the place of the connection's."""
    session = connected.session(Database.NB)
    session.fault = Subject("TLS files in /d").problem(
        "expired", "renew it", Reason.CERTIFICATE_EXPIRES
    )
    session.answers = False
    connected.turn(1.0)
    assert connected.sessions.problems(1.0 + PATIENCE) == [session.fault]


def test_a_server_whose_schema_arrived_has_been_reached(connected: Connected) -> None:
    """Also if it answered so fast that the first connection is over at the end of the turn."""
    session = connected.session(Database.NB)
    session.generation += 1
    session.answers = False
    connected.turn(1.0)
    (problem,) = connected.sessions.problems(1.0 + PATIENCE)
    assert problem.message == "accepts connections, but does not send its contents"


def test_transactions_end_in_order(connected: Connected) -> None:
    """Each transaction ends once, with its own result."""
    sent = [insert("a"), insert("ts")]
    for transaction in sent:
        connected.sessions.send(transaction)
    ended = list(connected.sessions.ended())
    assert [transaction for transaction, _ in ended] == sent
    assert [type(result) for _, result in ended] == [Committed, Failed]
    assert list(connected.sessions.ended()) == []


def test_pausing_waits_for_transactions(connected: Connected) -> None:
    """The lock is released when what was sent has ended, not before, and requested on resume."""
    sessions, sb = connected.sessions, connected.session(Database.SB)
    sessions.send(insert("a"))
    sessions.pause()
    assert sessions.writable() == set()
    wanted = [sb.lock_wanted]
    list(sessions.ended())
    wanted.append(sb.lock_wanted)
    sessions.resume()
    connected.turn(1.0)
    wanted.append(sb.lock_wanted)
    assert wanted == [True, False, True]
    assert sessions.active


def test_another_address_is_another_session(connected: Connected) -> None:
    """The old session is closed, and the rows stay until the new database has been read."""
    sessions, old = connected.sessions, connected.session(Database.IC_NB)
    sessions.use(Database.IC_NB, old.remote, connected.engine, 1.0)
    closed = [old.closed]
    sessions.use(Database.IC_NB, "tcp:192.0.2.1:6645", connected.engine, 1.0)
    assert [*closed, old.closed] == [False, True]
    assert connected.session(Database.IC_NB).remote == "tcp:192.0.2.1:6645"
    assert Database.IC_NB not in sessions.synced
    assert connected.switches == ["ts"]
    sessions.use(Database.IC_NB, "", connected.engine, 2.0)
    assert Database.IC_NB not in sessions.remotes


def test_probe_intervals(connected: Connected) -> None:
    """An interval applies to the session that there is, and to the next one."""
    connected.sessions.probe(Database.SB, 7000)
    assert connected.session(Database.SB).probe_interval == 7000
    connected.sessions.use(Database.SB, "tcp:192.0.2.1:6642", connected.engine, 1.0)
    assert connected.session(Database.SB).probe_interval == 7000

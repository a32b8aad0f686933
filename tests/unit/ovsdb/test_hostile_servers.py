"""Whatever a server sends, only its own connection suffers, and only as long as it lies."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ovs.timeval
import pytest

from isthmus.daemon.sessions import PATIENCE, DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.transactions import Transaction, TryAgain
from isthmus.engine.view import View
from isthmus.model.bounds import SERVER_MESSAGE, SERVER_READ
from isthmus.model.operations import Insert
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, TransitSwitch
from isthmus.ovsdb import session
from isthmus.ovsdb.oneshot import OneShotError, read
from isthmus.ovsdb.ovs_patches import json_parser, utf8
from isthmus.ovsdb.poller import Poller
from support.hostile.answers import AFTERWARDS, ANYWHERE, AT_STEPS, raw, result, switch
from support.hostile.ovsdb_server import OTHER_HONEST, Answer, HostileServer

TURNS = 1000


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Fleet"]:
    """A hostile server, an honest one, and their client; connections are repeated quickly."""
    monkeypatch.setattr(session, "RETRY_INTERVAL", 10)
    monkeypatch.setattr(session, "MOST_DISTRUST", 10)
    monkeypatch.setattr(session, "STALLED", 500)
    monkeypatch.setattr(json_parser, "SERVER_MESSAGE", replace(SERVER_MESSAGE, most=1 << 17))
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


class Fleet:
    """IC-NB of a server that lies, NB of an honest one."""

    def __init__(self, directory: Path) -> None:
        self.hostile = HostileServer(directory / "hostile")
        self.honest = HostileServer(directory / "honest", OTHER_HONEST)
        self.view = View()
        self.engine = Engine(self.view, ())
        self.sessions = DatabaseSessions(self.view)
        self.sessions.use(Database.IC_NB, self.hostile.remote, self.engine, 0.0)
        self.sessions.use(Database.NB, self.honest.remote, self.engine, 0.0)
        self.now = 0.0

    def turn(self) -> None:
        """One turn of everything."""
        poller = Poller()
        self.sessions.wait(poller)
        poller.wake_in(0.005)
        poller.block()
        self.now += 0.1
        self.engine.apply(self.sessions.run(self.now))
        self.hostile.turn()
        self.honest.turn()

    def until(self, condition: Any, what: str) -> None:
        """Turn until a state is reached."""
        for _ in range(TURNS):
            if condition():
                return
            self.turn()
        pytest.fail(f"not reached: {what}; problems: {self.problems}")

    @property
    def problems(self) -> list[Any]:
        return [p for p in self.sessions.problems(self.now) if str(Database.IC_NB) in p.object]

    def connected(self, database: Database) -> bool:
        tracked = self.sessions._sessions[database]
        return tracked.session.synced

    @property
    def names(self) -> list[str]:
        return [row.name for row in self.view.table(TransitSwitch)]

    def recovers(self) -> None:
        """Assert that honest data end the problem, and that the other server was served."""
        self.until(lambda: self.connected(Database.NB), "the other database")
        before = self.honest.connections
        self.hostile.lies, self.hostile.after = {}, b""
        self.until(lambda: self.connected(Database.IC_NB) and not self.problems, "recovered")
        self.until(lambda: self.names == ["ts"], "the contents")
        assert self.connected(Database.NB)
        assert self.honest.connections == before

    def close(self) -> None:
        self.sessions.close()
        self.hostile.close()
        self.honest.close()


STEPS = ("get_schema", "get_schema _Server", "monitor_cond _Server", "monitor_cond_since")
CASES = [(step, name, answer) for step in STEPS for name, answer in ANYWHERE.items()] + [
    (step, name, answer) for step, answers in AT_STEPS.items() for name, answer in answers.items()
]


@pytest.mark.parametrize(
    ("step", "answer"), [pytest.param(s, a, id=f"{s}: {name}") for s, name, a in CASES]
)
def test_a_wrong_answer_is_named_and_survived(fleet: Fleet, step: str, answer: Answer) -> None:
    """The problem names the database; it ends as soon as the server is honest."""
    fleet.hostile.lies = {step: answer}
    fleet.until(
        lambda: fleet.problems or (fleet.connected(Database.IC_NB) and fleet.now > PATIENCE),
        "a problem, or contents all the same",
    )
    if fleet.problems:
        [problem] = fleet.problems
        assert problem.reason is Reason.DATABASE_UNREACHABLE
        assert len(str(problem)) < 1000
    fleet.recovers()


@pytest.mark.parametrize("message", AFTERWARDS.values(), ids=AFTERWARDS)
def test_a_wrong_message_is_survived(fleet: Fleet, message: bytes) -> None:
    """A message that no one has asked for: a problem, or nothing that matters."""
    fleet.hostile.after = message
    fleet.until(lambda: fleet.hostile.connections and fleet.now > PATIENCE, "some turns")
    fleet.recovers()


def test_invalid_data_delay_the_next_connections(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time twice as long, so that a server that lies costs little."""
    monkeypatch.setattr(session, "MOST_DISTRUST", 100_000)
    moment = [0]
    monkeypatch.setattr(ovs.timeval, "msec", lambda: moment[0])
    distrust = session._Distrust()
    delays = []
    for _ in range(4):
        distrust.found(ValueError("no"))
        delays.append(distrust.delay)
        moment[0] += distrust.delay
    moment[0] += 200_000
    distrust.found(ValueError("no"))
    assert [*delays, distrust.delay] == [10, 20, 40, 80, 10]


def test_a_transaction_without_a_valid_answer_is_tried_again(fleet: Fleet) -> None:
    """The answer is lost with the connection."""
    fleet.hostile.lies = {"transact": result(5)}
    fleet.until(lambda: fleet.connected(Database.IC_NB), "connected")
    insert = Insert(TransitSwitch, {"name": "other"})
    fleet.sessions.send(Transaction(Database.IC_NB, (insert,), ()))
    ended: list[Any] = []

    def has_ended() -> bool:
        ended.extend(fleet.sessions.ended())
        return bool(ended)

    fleet.until(has_ended, "an answer")
    assert [type(each) for _, each in ended] == [TryAgain]
    fleet.recovers()


def test_a_server_that_hangs_is_named(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Unix socket, too, where the other end cannot be cut off."""
    monkeypatch.setattr(session, "UNIX_PROBE", 1000)
    fleet.sessions._sessions[Database.IC_NB].session.set_probe_interval(None)
    fleet.until(lambda: fleet.connected(Database.IC_NB), "connected")
    fleet.hostile.hangs = True
    fleet.until(lambda: fleet.problems, "a problem")
    assert fleet.problems[0].reason is Reason.DATABASE_UNREACHABLE
    fleet.hostile.hangs = False
    fleet.recovers()


def test_a_server_that_never_stops_sending_leaves_time_for_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One turn reads a bounded share, even if more has come."""
    monkeypatch.setattr(utf8, "SERVER_READ", replace(SERVER_READ, most=1 << 12))
    before = []
    fleet.hostile.lies = {"get_schema": raw(b"{" + b" " * (1 << 16))}
    request = fleet.sessions._sessions[Database.IC_NB].session
    for _ in range(20):
        assert request._schema is not None
        connection = request._schema._session.rpc
        before.append(connection.get_received_bytes() if connection is not None else 0)
        fleet.turn()
    read_by_turn = {after - first for first, after in pairwise(before)}
    assert max(read_by_turn) == 1 << 12


def test_a_verb_names_the_server_that_lies(tmp_path: Path) -> None:
    """Reading once ends with a problem, not with a traceback."""
    server = HostileServer(tmp_path / "socket")
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.turn()
            stopping.wait(0.001)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert read({Database.IC_NB: server.remote}, 5.0).table(TransitSwitch)
        server.lies = {"monitor_cond_since": switch(name=5)}
        with pytest.raises(OneShotError, match="sent invalid data"):
            read({Database.IC_NB: server.remote}, 0.5)
    finally:
        stopping.set()
        thread.join()
        server.close()

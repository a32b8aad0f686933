"""How manifests reach the controller's reconcilers, and which IC databases are used."""

from collections.abc import Iterator, Mapping
from math import inf

import pytest

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.controller.wiring import reconcilers
from isthmus.daemon.controller_source import ControllerSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.wiring import exchange, observer
from isthmus.model.operations import Insert
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, NbGlobal
from support.fakes.manifests import config_map, node, snapshot, subnet
from support.fakes.ovsdb import FakeDatabase
from support.fakes.session import fake_sessions


class GivenManifests:
    """A source of manifests whose snapshots the test gives."""

    def __init__(self) -> None:
        self.next: Snapshot | None = None
        self.closed = False

    def fileno(self) -> int:
        return -1

    def next_wakeup(self) -> float:
        return inf

    def poll(self, _now: float) -> Snapshot | None:
        given, self.next = self.next, None
        return given

    def close(self) -> None:
        self.closed = True


class Controlled:
    """A controller source with everything that it is connected to."""

    def __init__(self, *, alone: bool = False) -> None:
        self.view = View()
        self.inputs = Inputs()
        self.reconcilers = reconcilers(self.view, self.inputs)
        parts = observer(self.view) if alone else exchange(self.view, policy_follows=True)
        self.engine = Engine(self.view, (*parts.reconcilers, *self.reconcilers), parts.edges)
        self.sessions = DatabaseSessions(self.view)
        for database in (Database.NB, Database.SB):
            self.sessions.use(database, f"unix:{database}", self.engine, 0.0)
        self.manifests = GivenManifests()
        policy = None if alone else parts.routes.policy
        self.source = ControllerSource(
            self.manifests, self.inputs, self.reconcilers, self.engine, self.sessions, self.view,
            policy,
        )  # fmt: skip

    def give(self, given: Snapshot) -> None:
        self.manifests.next = given
        self.source.run(0.0)

    def dirty(self) -> set[str]:
        """The reconcilers of the controller that have keys to handle."""
        found = {one.name for one in self.reconcilers if one.dirty}
        for one in self.reconcilers:
            one.dirty.clear()
        return found


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[Database, FakeDatabase]]:
    """Four fake databases."""
    with fake_sessions(monkeypatch) as databases:
        yield databases


@pytest.fixture
def controlled(databases: Mapping[Database, FakeDatabase]) -> Controlled:
    """A controller with a configuration, one Subnet and one Node."""
    controlled = Controlled()
    controlled.give(snapshot(config_map(), subnet("a", "10.1.0.0/16"), node("gw", "192.0.2.1")))
    return controlled


def test_the_configuration_names_the_ic_databases(controlled: Controlled) -> None:
    """The sessions to the IC databases follow the ConfigMap."""
    remotes = controlled.sessions.remotes
    assert remotes[Database.IC_NB] == "tcp:192.168.65.3:6645"
    assert remotes[Database.IC_SB] == "tcp:192.168.65.3:6646"
    controlled.give(snapshot(config_map(ic_db_host="192.168.65.4")))
    assert controlled.sessions.remotes[Database.IC_NB] == "tcp:192.168.65.4:6645"


def test_a_change_marks_reconcilers_and_no_change_marks_none(controlled: Controlled) -> None:
    """A snapshot marks what depends on its changes; without a snapshot nothing is marked."""
    assert controlled.dirty()
    controlled.source.run(1.0)
    assert controlled.dirty() == set()
    controlled.give(snapshot(config_map(gw_nodes="other"), subnet("a", "10.1.0.0/16")))
    assert controlled.dirty()
    assert controlled.source.snapshot is not None


def test_an_invalid_configuration_keeps_the_ic_databases(controlled: Controlled) -> None:
    """The problem is reported, and the last valid addresses stay in use."""
    before = controlled.sessions.remotes
    controlled.give(snapshot(config_map(ic_nb_port="x")))
    assert controlled.sessions.remotes == before
    assert any(problem.key == "data.ic-nb-port" for problem in controlled.source.problems())


def test_leaving_uses_the_databases_that_were_joined(
    databases: Mapping[Database, FakeDatabase],
) -> None:
    """Without a ConfigMap, the addresses in NB_Global lead to the zone that the cluster leaves."""
    ids = {"isthmus-zone": "az1", "isthmus-ic-nb-db": "tcp:a:1", "isthmus-ic-sb-db": "tcp:a:2"}
    databases[Database.NB].transact([Insert(NbGlobal, {"external_ids": ids})])
    controlled = Controlled()
    controlled.source.run(0.0)
    assert Database.IC_NB not in controlled.sessions.remotes
    controlled.engine.apply(controlled.sessions.run(0.0))
    controlled.source.run(0.0)
    assert controlled.sessions.remotes[Database.IC_NB] == "tcp:a:1"
    assert controlled.sessions.remotes[Database.IC_SB] == "tcp:a:2"


def test_no_object_at_all_means_nothing_until_the_cluster_is_known(
    databases: Mapping[Database, FakeDatabase],
) -> None:
    """NB shows whether this cluster has joined; one that never joined takes no part at once."""
    controlled = Controlled()
    controlled.give(snapshot())
    assert controlled.inputs.wanted is None
    controlled.engine.apply(controlled.sessions.run(0.0))
    controlled.source.run(0.0)
    assert controlled.inputs.leaving
    assert not controlled.source.problems()

    ids = {"isthmus-zone": "az1"}
    databases[Database.NB].transact([Insert(NbGlobal, {"name": "az1", "external_ids": ids})])
    joined = Controlled()
    joined.give(snapshot())
    joined.engine.apply(joined.sessions.run(0.0))
    joined.source.run(0.0)
    assert joined.inputs.wanted is None
    assert [problem.reason for problem in joined.source.problems()] == [Reason.OBJECTS_LOST]
    joined.give(snapshot(config_map()))
    assert joined.inputs.config is not None


def test_rules_without_our_engine_are_reported(
    databases: Mapping[Database, FakeDatabase],
) -> None:
    """Next to ovn-ic, which has no rules on routes, `accept` is reported as ineffective."""
    controlled = Controlled(alone=True)
    controlled.give(snapshot(config_map(accept="az2: [10.2.0.0/16]")))
    assert Reason.NOT_ENFORCED in {problem.reason for problem in controlled.source.problems()}
    controlled.give(snapshot(config_map()))
    assert Reason.NOT_ENFORCED not in {p.reason for p in controlled.source.problems()}


def test_closing_ends_the_source(controlled: Controlled) -> None:
    """The source of manifests is closed with the loop."""
    controlled.source.close()
    assert controlled.manifests.closed

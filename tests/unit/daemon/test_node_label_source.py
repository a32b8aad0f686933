"""Which labels the event source of node labels offers, and when."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.daemon.node_label_source import NodeLabelSource
from isthmus.model.problems import Problem, Subject
from isthmus.model.rows import Database
from support.fakes.manifests import config_map, manifest, snapshot
from support.fakes.session import FakeSession, fake_sessions
from unit.daemon.test_controller_source import Controlled

FORBIDDEN = Subject("Kubernetes API").problem("access denied", "apply the role")


class RecordingLabeler:
    """Records what it is offered."""

    def __init__(self) -> None:
        self.offered: list[Mapping[str, str]] = []
        self.closed = False

    def offer(self, labels: Mapping[str, str]) -> None:
        self.offered.append(labels)

    def problems(self) -> Sequence[Problem]:
        return (FORBIDDEN,)

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


def labelled(name: str, value: str) -> Manifest:
    """A Node with a gateway label."""
    return manifest("Node", name, metadata={"labels": {GATEWAY_LABEL: value}})


@pytest.fixture
def controlled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Controlled]:
    """A controller that has not read anything yet."""
    with fake_sessions(monkeypatch):
        controlled = Controlled()
        controlled.sessions.run(0.0)
        yield controlled


@pytest.fixture
def labeler() -> RecordingLabeler:
    """A labeler that has been offered nothing."""
    return RecordingLabeler()


@pytest.fixture
def source(controlled: Controlled, labeler: RecordingLabeler) -> NodeLabelSource:
    """The event source."""
    return NodeLabelSource(
        controlled.view, controlled.inputs, controlled.source, controlled.sessions, labeler
    )


def test_labels_follow_nodes_and_configuration(
    controlled: Controlled, source: NodeLabelSource, labeler: RecordingLabeler
) -> None:
    """Gateways without the label and labelled Nodes that are not gateways are offered."""
    source.run(0.0)
    assert labeler.offered == []
    nodes = (labelled("gw", "false"), labelled("old", "true"), labelled("other", "false"))
    controlled.give(snapshot(config_map(gw_nodes="gw"), *nodes))
    source.run(1.0)
    assert labeler.offered[-1] == {"gw": "true", "old": "false"}
    controlled.give(snapshot(config_map(gw_nodes="old"), labelled("old", "true")))
    source.run(2.0)
    assert labeler.offered[-1] == {}


def test_nothing_is_labelled_before_the_databases_are_read(
    controlled: Controlled, source: NodeLabelSource, labeler: RecordingLabeler
) -> None:
    """Until NB and SB are read, a gateway in use would look like a node without a port."""
    controlled.sessions.synced.discard(Database.NB)
    controlled.give(snapshot(config_map(gw_nodes="gx"), labelled("gw", "true")))
    source.run(0.0)
    assert labeler.offered == []


def test_only_the_active_daemon_labels(
    controlled: Controlled, source: NodeLabelSource, labeler: RecordingLabeler
) -> None:
    """A standby has nothing to set, and offers the labels once it is active."""
    (sb,) = (session for session in FakeSession.opened if session.database is Database.SB)
    sb.lock_free = False
    controlled.sessions.run(0.0)
    controlled.give(snapshot(config_map(gw_nodes="gw"), labelled("gw", "false")))
    source.run(1.0)
    assert labeler.offered[-1] == {}
    sb.lock_free = True
    controlled.sessions.run(2.0)
    source.run(2.0)
    assert labeler.offered[-1] == {"gw": "true"}


def test_problems_of_the_labeler(
    controlled: Controlled, source: NodeLabelSource, labeler: RecordingLabeler
) -> None:
    """What prevents labelling is a problem of the source, which closes the labeler."""
    source.run(0.0)
    assert source.problems() == (FORBIDDEN,)
    source.close()
    assert labeler.closed

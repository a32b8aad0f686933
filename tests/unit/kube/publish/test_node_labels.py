"""The thread that labels gateway Nodes, with a client that records its calls."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.kube.client import Client
from isthmus.kube.errors import ApiError, Failure
from isthmus.kube.publish import node_labels
from isthmus.kube.publish.node_labels import NodeLabeler
from isthmus.model.reasons import Reason
from support.ovn.servers import wait_until

FORBIDDEN = Failure(403, "Forbidden", "nodes is forbidden")
GONE = Failure(404, "NotFound", "nodes not found")


class RecordingClient:
    """Records patches, and fails on request."""

    server = "https://192.0.2.1:6443"

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.broken = False
        self.labels: list[tuple[str, str]] = []

    def call(
        self, _method: str, path: str, _query: Any, body: Any, *, content: str
    ) -> dict[str, Any]:
        assert content == "application/merge-patch+json"
        if self.broken:
            raise KeyError("bug")
        node = path.removeprefix("/api/v1/nodes/")
        self.labels.append((node, body["metadata"]["labels"][GATEWAY_LABEL]))
        if self.failure is not None:
            raise ApiError(self.failure)
        return {}


@pytest.fixture
def client() -> RecordingClient:
    """A client whose calls succeed."""
    return RecordingClient()


@pytest.fixture
def labeler(client: RecordingClient) -> Iterator[NodeLabeler]:
    """A labeler that has nothing to do yet."""
    labeler = NodeLabeler(cast("Client", client))
    yield labeler
    labeler.close()
    assert not any(thread.name == "node labels" for thread in threading.enumerate())


def test_labels_are_set_once(client: RecordingClient, labeler: NodeLabeler) -> None:
    """Each Node is patched at once, and not again while the API still shows the old label."""
    labeler.offer({"a": "true", "b": "false"})
    wait_until(lambda: len(client.labels) == 2, "both are set")
    labeler.offer({"b": "false", "c": "true"})
    wait_until(lambda: len(client.labels) == 3, "the new one is set")
    assert client.labels == [("a", "true"), ("b", "false"), ("c", "true")]
    labeler.offer({"b": "true"})
    wait_until(lambda: client.labels[-1] == ("b", "true"), "another value is set at once")


def test_labels_that_are_undone_are_set_again(
    client: RecordingClient, labeler: NodeLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that is still missing after a while is set again."""
    monkeypatch.setattr(node_labels, "AGAIN", 0.01)
    labeler.offer({"a": "true"})
    wait_until(lambda: len(client.labels) >= 3, "it is set again and again")
    assert set(client.labels) == {("a", "true")}


def test_a_refusal_is_a_problem_until_it_is_fixed(
    client: RecordingClient, labeler: NodeLabeler
) -> None:
    """A missing permission is reported at once, and no longer when no label differs."""
    client.failure = FORBIDDEN
    labeler.offer({"a": "true"})
    wait_until(labeler.problems, "it is reported")
    (problem,) = labeler.problems()
    assert (problem.key, problem.reason) == ("nodes", Reason.FORBIDDEN)
    labeler.offer({})
    wait_until(lambda: not labeler.problems(), "it is over")


def test_a_node_that_is_gone_is_not_a_problem(
    client: RecordingClient, labeler: NodeLabeler
) -> None:
    """The other Nodes are labelled all the same."""
    client.failure = GONE
    labeler.offer({"a": "true", "b": "true"})
    wait_until(lambda: len(client.labels) == 2, "both are tried")
    assert labeler.problems() == ()


def test_an_internal_error_is_reported(
    client: RecordingClient, labeler: NodeLabeler, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that fails ends with a problem, its log names the error, the daemon continues."""
    client.broken = True
    labeler.offer({"a": "true"})
    wait_until(labeler.problems, "it is reported")
    (problem,) = labeler.problems()
    assert (problem.object, problem.reason) == ("node labels", Reason.PUBLISHER_FAILED)
    assert problem.message == "stopped because of an internal error"
    assert "KeyError" in caplog.text

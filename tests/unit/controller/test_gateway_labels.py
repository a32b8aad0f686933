"""The labels of gateway Nodes."""

import pytest

from isthmus.controller.gateway_labels import GATEWAY_LABEL, gateway_labels
from support.fakes.manifests import manifest, snapshot

NODES = {"a": None, "b": "true", "c": "true", "d": "false", "e": "false", "f": None}


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        (("a", "b", "d", "missing"), {"a": "true", "c": "false", "d": "true"}),
        ((), {"b": "false", "c": "false"}),
    ],
)
def test_only_wrong_labels_are_set(gateways: tuple[str, ...], expected: dict[str, str]) -> None:
    """Nodes with the right label, and those that have never been gateways, are left alone."""
    nodes = (
        manifest("Node", name, metadata={"labels": {GATEWAY_LABEL: value} if value else {}})
        for name, value in NODES.items()
    )
    assert gateway_labels(snapshot(*nodes), gateways) == expected


@pytest.mark.parametrize("metadata", [None, [], {"labels": None}, {"labels": {GATEWAY_LABEL: 1}}])
def test_unreadable_labels_count_as_missing(metadata: object) -> None:
    """A Node without readable labels gets the label if it is a gateway."""
    nodes = snapshot(manifest("Node", "a", metadata=metadata))
    assert gateway_labels(nodes, ("a",)) == {"a": "true"}
    assert gateway_labels(nodes, ()) == {}

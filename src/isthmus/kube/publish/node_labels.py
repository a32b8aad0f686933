"""Sets the labels of gateway Nodes that `isthmus.daemon.node_label_source` offers.

Each Node is patched at once, and again only after a while: another controller that undoes a label
keeps neither the API server nor us busy.
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from math import inf

from isthmus.controller.gateway_labels import GATEWAY_LABEL
from isthmus.kube.client import Client
from isthmus.kube.errors import ApiError
from isthmus.kube.list_watch import Timing
from isthmus.kube.publish.api_writer import MANAGER, ApiWriter, retry_at
from isthmus.kube.resources import Resource

AGAIN = 10.0
"""Seconds until a label that was set, and is not seen or was undone, is set again."""

_NODES = "nodes"
"""What is written, with the name that roles use."""


class NodeLabeler(ApiWriter):
    """Starts at once.

    Args:
        client: see `ApiWriter`.
        timing: how long failures last until they are problems.
    """

    def __init__(self, client: Client, timing: Timing | None = None) -> None:
        super().__init__(client, "node labels", (timing or Timing()).patience)
        self._wanted: Mapping[str, str] = {}
        self._written: dict[str, tuple[str, float]] = {}
        self._start()

    def offer(self, labels: Mapping[str, str]) -> None:
        """Take over the labels to set, by Node: those that differ; never blocks."""
        if labels != self._wanted:
            self._wanted = labels
            self._work.set()

    def _write_due(self, now: float) -> float:
        wanted, due = self._wanted, inf
        if not wanted:
            self._failures.clear()
        for node, value in wanted.items():
            before, again = self._written.get(node, ("", -inf))
            if before == value and now < again:
                due = min(due, again)
                continue
            failure = self._attempt(_NODES, partial(self._set, node, value), now)
            if failure is not None:
                return retry_at(failure, now)
            self._written[node] = (value, now + AGAIN)
            due = min(due, now + AGAIN)
        return due

    def _set(self, node: str, value: str) -> None:
        path, body = (
            f"{Resource('Node').path}/{node}",
            {"metadata": {"labels": {GATEWAY_LABEL: value}}},
        )
        content = "application/merge-patch+json"
        try:
            self._client.call("PATCH", path, {"fieldManager": MANAGER}, body, content=content)
        except ApiError as error:
            # A Node that is gone needs no label; the next snapshot lacks it, too.
            if error.failure.status != HTTPStatus.NOT_FOUND:
                raise

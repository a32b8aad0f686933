"""The event source of node labels: which gateway labels differ from the configuration.

It offers the difference to the `NodeLabeler` after each change of the inputs or the gateways, while
this daemon is the active one of its zone.
"""

from collections.abc import Mapping, Sequence

from isthmus.controller.gateway_labels import gateway_labels, gateway_nodes
from isthmus.controller.inputs.inputs import Inputs
from isthmus.daemon.controller_source import ControllerSource
from isthmus.daemon.event_source import EventSource, Writer
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.view import View
from isthmus.model.problems import Problem
from isthmus.model.rows import Database
from isthmus.ovsdb.poller import Poller


class NodeLabelSource(EventSource):
    """Compares labels when the snapshot or the gateways have changed.

    Args:
        view: with the gateway candidates.
        inputs: with the configuration.
        controller: whose snapshots have the Nodes with their labels.
        sessions: of the loop.
        labeler: closed with the loop.
    """

    def __init__(
        self,
        view: View,
        inputs: Inputs,
        controller: ControllerSource,
        sessions: DatabaseSessions,
        labeler: Writer[Mapping[str, str]],
    ) -> None:
        self._view, self._inputs = view, inputs
        self._controller, self._sessions, self._labeler = controller, sessions, labeler
        self._compared: tuple[object, object] = (None, None)
        self._labels: dict[str, str] = {}
        self._problems: Sequence[Problem] = ()

    def run(self, now: float) -> None:  # noqa: ARG002 - an event source's signature
        """Offer the labels to set now."""
        self._problems = self._labeler.problems()
        snapshot = self._controller.snapshot
        read = {Database.NB, Database.SB} <= self._sessions.synced
        if snapshot is None or self._inputs.wanted is None or not read:
            return  # without NB and SB, the gateways in use are not known
        nodes = gateway_nodes(self._view, self._inputs)
        if self._compared[0] is not snapshot or self._compared[1] != nodes:
            self._compared = (snapshot, nodes)
            self._labels = gateway_labels(snapshot, nodes)
        self._labeler.offer(self._labels if self._sessions.active else {})

    def problems(self) -> Sequence[Problem]:
        """What prevents the labeler from writing."""
        return self._problems

    def wait(self, poller: Poller, now: float) -> None:  # noqa: ARG002 - an event source's signature
        """Wake when the labeler's problems have changed."""
        poller.wait_readable(self._labeler.fileno())

    def close(self) -> None:
        """End the labeler."""
        self._labeler.close()

"""Which gateway label to set now: what is wanted, put off where somebody keeps undoing it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from isthmus.kube.publish.rate_limit import Pause

SETTLE = 2.0
"""Seconds in which a label that was set is expected to be seen."""


@dataclass(slots=True)
class _Node:
    value: str
    pause: Pause
    due: float


@dataclass(slots=True)
class Labels:
    """What has been tried on which node."""

    _nodes: dict[str, _Node] = field(default_factory=dict)

    def next(self, wanted: Mapping[str, str], now: float) -> tuple[tuple[str, str] | None, float]:
        """The node to label now, with the value, and when to ask again.

        Args:
            wanted: for each node whose label differs from what it should be, the right value.
            now: monotonic seconds.

        Returns:
            Node and value, or None; and when the next is due: monotonic seconds, or inf. What is
            returned counts as tried.
        """
        due = inf
        for name, value in wanted.items():
            node = self._nodes.get(name)
            if node is None or node.value != value:
                node = self._nodes[name] = _Node(value, Pause(start=SETTLE, step=SETTLE), now)
            if node.due <= now:
                node.due = now + node.pause.next(now)
                return (name, value), now
            due = min(due, node.due)
        return None, due

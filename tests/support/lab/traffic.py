"""Traffic between pods of a lab while something is changed, and what it lost.

The sending is done by `isthmus_lab.traffic.load`, in a process of its own that ends with its input.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from isthmus_lab.lab import Lab
from isthmus_lab.system.processes import environment
from isthmus_lab.topology.layout import TAG
from isthmus_lab.traffic.load import PingReport, StreamReport

AFTER = 50
"""Intervals (10 ms) for which traffic is watched after the last change was seen to be in force."""


@dataclass(frozen=True, slots=True)
class Flow:
    """From a pod to another, by name."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Loss:
    """What each flow lost since the last time."""

    pings: Mapping[Flow, PingReport]
    streams: Mapping[Flow, StreamReport]

    def outage(self, flows: Sequence[Flow]) -> float:
        """The longest outage of pings among some flows: seconds."""
        return max(self.pings[flow].outage_s for flow in flows)

    def lost(self, flows: Sequence[Flow]) -> int:
        """The pings lost by some flows together."""
        return sum(self.pings[flow].lost for flow in flows)

    def stall(self, flows: Sequence[Flow]) -> float:
        """The longest time in which one of the streams brought nothing: seconds."""
        return max(self.streams[flow].stall_s for flow in flows)


class Traffic(AbstractContextManager["Traffic"]):
    """A ping of 100/s along each flow, and a TCP stream along some.

    Args:
        lab: the lab that the pods are in; they reach each other.
        pings, streams: which pods.
    """

    def __init__(self, lab: Lab, pings: Sequence[Flow], streams: Sequence[Flow]) -> None:
        self._pings = {f"ping {flow}": flow for flow in pings}
        self._streams = {f"stream {flow}": flow for flow in streams}
        netns = lab.layout.netns
        wanted = {
            "pings": {
                label: [netns(flow.source), _address(lab, flow)]
                for label, flow in self._pings.items()
            },
            "streams": {
                label: [netns(flow.source), netns(flow.target), _address(lab, flow)]
                for label, flow in self._streams.items()
            },
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "isthmus_lab.traffic.load"],
            env=environment({TAG: lab.layout.lab}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(json.dumps(wanted))

    def cut(self, after: int = AFTER) -> Loss:
        """What was lost since the last call.

        Args:
            after: intervals to go on for before that.
        """
        self._tell(str(after))
        assert self._process.stdout is not None
        found = json.loads(self._process.stdout.readline())
        return Loss(
            {flow: PingReport(**found[label]) for label, flow in self._pings.items()},
            {flow: StreamReport(**found[label]) for label, flow in self._streams.items()},
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop sending."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _address(lab: Lab, flow: Flow) -> str:
    return str(lab.pod(flow.target).addresses[0].ip)

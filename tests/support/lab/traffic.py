"""Traffic between pods of a lab during a change, and its losses.

`load` sends the traffic in a separate process, which ends with its input.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from isthmus_lab.lab import Lab
from isthmus_lab.system.processes import environment
from isthmus_lab.topology.layout import TAG
from support.lab.load import PingReport, StreamReport

AFTER = 50
"""Intervals (10 ms) for which traffic continues after a change was seen to be in force."""


@dataclass(frozen=True, slots=True)
class Flow:
    """From one pod to another, by name."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Loss:
    """The losses of each flow since the last call."""

    pings: Mapping[Flow, PingReport]
    streams: Mapping[Flow, StreamReport]

    def outage(self, flows: Sequence[Flow]) -> float:
        """The longest outage of pings among some flows, in seconds."""
        return max(self.pings[flow].outage_s for flow in flows)

    def lost(self, flows: Sequence[Flow]) -> int:
        """The total number of lost pings of some flows."""
        return sum(self.pings[flow].lost for flow in flows)

    def stall(self, flows: Sequence[Flow]) -> float:
        """The longest stall among some streams, in seconds."""
        return max(self.streams[flow].stall_s for flow in flows)


class Traffic(AbstractContextManager["Traffic"]):
    """Pings at 100/s along each flow, and TCP streams along some.

    Args:
        lab: the lab of the pods, which must reach each other.
        pings, streams: the flows.
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
            [sys.executable, "-P", str(Path(__file__).with_name("load.py"))],
            env=environment({TAG: lab.layout.lab}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send(json.dumps(wanted))

    def cut(self, after: int = AFTER) -> Loss:
        """The losses since the last call.

        Args:
            after: intervals for which to continue first.
        """
        self._send(str(after))
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
        """Stop the traffic."""
        self._process.communicate()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _address(lab: Lab, flow: Flow) -> str:
    return str(lab.pod(flow.target).addresses[0].ip)

"""Edits of a running interconnection under traffic, and the table of their costs.

With ISTHMUS_RECORD_LIVE_EDITS=1 the measured losses replace the table in the documentation.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from isthmus_lab.traffic import probe
from support.lab.joined import Joined
from support.lab.traffic import Flow, Loss, Traffic
from support.ovn.undone_deletes import UndoneDeletes

DOCUMENT = Path(__file__).parents[3] / "docs/reference/live-edits.md"
MARKS = ("<!-- measured -->\n", "<!-- end -->\n")
RECORD = "ISTHMUS_RECORD_LIVE_EDITS"

THREE_CLUSTERS = """
transitSwitches: [{name: ts, cidr: 169.254.100.0/24}]
clusters:
  - name: az1
    gateways: [az1-gw, az1-gw2]
    nodes:
      - {name: az1-gw, roles: [central, gateway]}
      - {name: az1-gw2, roles: [gateway]}
      - {name: az1-gw3, roles: [gateway]}
    subnets:
      - {name: ovn-default, cidr: 10.16.0.0/16}
      - {name: apps, cidr: 10.26.0.0/16}
    pods:
      - {name: az1-web, node: az1-gw2}
      - {name: az1-app, node: az1-gw, subnet: apps}
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.17.0.0/16}]
    pods: [{name: az2-web, node: az2-gw}]
  - name: az3
    nodes: [{name: az3-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.18.0.0/16}]
    pods: [{name: az3-web, node: az3-gw}]
"""
"""A cluster to edit, with two of three gateways in use, and two other clusters."""

WEB, APP = Flow("az1-web", "az2-web"), Flow("az1-app", "az3-web")
INSIDE, OTHERS = Flow("az1-web", "az1-app"), Flow("az2-web", "az3-web")
FLOWS = (WEB, APP, INSIDE, OTHERS)

UNDONE = {
    "`ic-db-host`: replaced by empty databases": "no zone is in them until it has joined again",
}
"""The edits by which a row may be deleted in one transaction and inserted again in a later one,
each with the reason."""


class SingleLossError(AssertionError):
    """A single packet was lost on flows that must lose none.

    The userspace switches of the lab sometimes lose a packet for unknown reasons, also on flows
    that an edit does not concern. A loss caused by an edit happens every time.
    """


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the losses of the flows that an edit concerns."""

    edit: str
    loss: Loss
    concerned: tuple[Flow, ...]

    def __str__(self) -> str:
        most = max(self.loss.pings[flow].lost for flow in self.concerned)
        outage, stall = self.loss.outage(self.concerned), self.loss.stall(self.concerned)
        gap = f"{outage * 1000:.0f} ms" if most else "–"
        return f"| {self.edit} | {most} | {gap} | {stall * 1000:.0f} ms |"


@dataclass(frozen=True, slots=True)
class Live:
    """Clusters with traffic between them.

    Args:
        joined: the clusters.
        traffic: along all of `FLOWS`.
        rows: measurements so far.
    """

    joined: Joined
    traffic: Traffic
    rows: list[Row]

    @contextmanager
    def edit(
        self, name: str, concerned: Sequence[Flow] = (), *, most_s: float | None = 0.0
    ) -> Iterator[None]:
        """Make an edit in the body, which must also wait until it is in force.

        Args:
            name: of the edit, for the table.
            concerned: the flows that may lose packets; others may not.
            most_s: the longest permitted outage in seconds; None if the edit is meant to stop them.

        Raises:
            SingleLossError: a single packet was lost on flows that must lose none.
            AssertionError: a flow lost more than permitted, or a row was deleted in one
                transaction and inserted again in a later one, and `UNDONE` gives no reason.
        """
        logs = [UndoneDeletes(file) for file in self.joined.databases()]
        self.traffic.cut(5)
        yield
        if most_s is not None:
            self.joined.wait(lambda: self.answering(concerned), "the pods concerned to answer")
        loss = self.traffic.cut()
        bystanders = [flow for flow in FLOWS if flow not in concerned]
        check(loss, bystanders, 0.0)
        if most_s is not None:
            self.rows[:] = [row for row in self.rows if row.edit != name]
            self.rows.append(Row(name, loss, tuple(concerned) or FLOWS))
            check(loss, concerned, most_s)
        undone = [found for log in logs for found in log.found()]
        assert undone == [] or name in UNDONE

    def answering(self, flows: Sequence[Flow]) -> bool:
        """Whether a ping along each flow is answered."""
        lab = self.joined.lab
        pods = [(lab.pod(flow.source), lab.pod(flow.target)) for flow in flows]
        paths = [probe.TrafficPath(source, to, to.addresses[0].ip) for source, to in pods]
        return len(probe.ping(lab.layout, paths)) == len(paths)


def check(loss: Loss, flows: Sequence[Flow], most_s: float) -> None:
    """Check that flows lost no more packets than a time span contains.

    Raises:
        SingleLossError: none may be lost, and all flows together lost one.
        AssertionError: they lost more.
    """
    for flow in flows:
        assert loss.pings[flow].sent, f"{flow}: nothing was sent"
        assert not loss.streams[flow].error, f"{flow}: {loss.streams[flow]}"
    lost = {flow: loss.pings[flow].lost + max(0, loss.streams[flow].lost) for flow in flows}
    if not most_s and sum(lost.values()) == 1:
        raise SingleLossError(*(str(flow) for flow in flows if lost[flow]))
    for flow in flows:
        pings, stream = loss.pings[flow], loss.streams[flow]
        assert pings.outage_s <= most_s, f"{flow}: {pings}"
        assert stream.lost <= 0 or most_s, f"{flow}: {stream}"


def record(rows: Sequence[Row]) -> None:
    """Write the table into the documentation, if requested."""
    if not os.environ.get(RECORD):
        return
    head = "| edit | pings lost | longest gap | TCP: longest stall |\n|---|---|---|---|\n"
    table = head + "".join(f"{row}\n" for row in rows)
    begin, end = map(re.escape, MARKS)
    text = DOCUMENT.read_text(encoding="utf-8")
    text = re.sub(f"({begin}).*?({end})", lambda m: m[1] + table + m[2], text, flags=re.DOTALL)
    DOCUMENT.write_text(text, encoding="utf-8")

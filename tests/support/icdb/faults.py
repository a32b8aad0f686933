"""Faults of the IC databases in a lab, and checks that nothing is lost.

A `Fault` watches while something is broken: pings and streams between the pods of three zones, the
transaction logs of the zones' databases, and the rows that the IC databases hold. With
ISTHMUS_RECORD_IC_FAULTS=1 the results go into tests/icdb/RESULTS.md, and time limits are asserted;
other runs may be on a busy machine.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from isthmus_lab.waiting import wait_until
from support.icdb.lab_members import LIMIT_S, LabMembers
from support.icdb.results import record, table
from support.lab.joined import Joined
from support.lab.traffic import Flow, Loss, Traffic
from support.ovn.changelog import ChangeLog

THREE_ZONES = """
ic: {members: 3, tls: true}
clusters:
  - name: az1
    nodes: [{name: az1-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.16.0.0/16}]
    pods: [{name: az1-web, node: az1-gw}]
  - name: az2
    nodes: [{name: az2-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.17.0.0/16}]
    pods: [{name: az2-web, node: az2-gw}]
  - name: az3
    nodes: [{name: az3-gw, roles: [central, gateway]}]
    subnets: [{name: ovn-default, cidr: 10.18.0.0/16}]
    pods: [{name: az3-web, node: az3-gw}]
"""
FLOWS = tuple(Flow(f"az{one}-web", f"az{other}-web") for one, other in ((1, 2), (2, 3), (3, 1)))

RECORDING = bool(os.environ.get("ISTHMUS_RECORD_IC_FAULTS"))

RESUME_S = 5.0
"""Seconds within which writes must resume once there is a majority."""

_KEPT = ("Chassis", "Encap", "Port_Binding")
"""Tables of SB from which nothing may be deleted; flows, for one, change with new subnets."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the results."""

    fault: str
    loss: Loss
    resumed_s: float
    kept: int

    def cells(self) -> tuple[object, ...]:
        """The printed cells; other losses are asserted not to occur."""
        pings, streams = self.loss.pings.values(), self.loss.streams.values()
        return (
            *(self.fault, sum(ping.sent for ping in pings), sum(ping.lost for ping in pings)),
            f"{max(stream.stall_s for stream in streams) * 1000:.0f} ms",
            *(f"{self.resumed_s:.1f} s", self.kept),
        )


def record_rows(rows: Sequence[Row]) -> None:
    """Record the results, if asked to."""
    if not RECORDING:
        return
    columns = ("fault", "pings sent", "lost", "TCP: longest stall", "writes again", "rows kept")
    text = (
        "Three zones joined over three members by TLS; a ping of 100/s and a TCP stream from each"
        " zone to the next. No ping was lost, nothing was deleted from any zone's NB database, and"
        " every row that any member had shown is there with its UUID. *Writes again* is the"
        " longest time from the fault, or from when the servers of two members listened, until a"
        " new subnet of one zone was a route in both others.\n\n"
    )
    made = text + table(columns, [row.cells() for row in rows])
    record("Faults under traffic", "make test-icdb-faults", made)


@dataclass(slots=True)
class Fault:
    """A fault while it lasts.

    Args:
        zones: the zones whose writes must resume.
        members: of the IC databases.
        numbers: for new subnets.

    Attributes:
        resumed_s: the longest time that writes took to resume.
        acknowledged: rows that a member has shown, and so are committed.
    """

    zones: Joined
    members: LabMembers
    numbers: Iterator[int]
    resumed_s: float = field(init=False, default=0.0)
    acknowledged: set[tuple[str, str]] = field(init=False, default_factory=set)

    def flag(self, zone: str) -> str:
        """Add a subnet to a zone; its prefix."""
        number = next(self.numbers)
        name, prefix = f"probe{number}", f"10.99.{number}.0/24"
        subnet = {
            "apiVersion": "kubeovn.io/v1",
            "kind": "Subnet",
            "metadata": {"name": name},
            "spec": {"cidrBlock": prefix},
        }
        handle = self.zones.cluster(zone)
        handle.objects.apply(subnet)
        networks = (f"0a:00:00:00:99:{number:02x}", f"10.99.{number}.1/24")
        handle.nbctl("lrp-add", "ovn-cluster", f"ovn-cluster-{name}", *networks)
        return prefix

    def wait_for_route(self, prefix: str, zone: str) -> None:
        """Wait until all zones but one have learned a prefix."""
        others = [one.name for one in self.zones.lab.plan.clusters if one.name != zone]
        for other in others:
            wait_until(
                lambda other=other: prefix in self.zones.learned(other),  # type: ignore[misc]
                LIMIT_S,
                f"{prefix} of {zone} in {other}",
            )

    def resume(self, zone: str = "az1", *, prefix: str = "", since: float | None = None) -> None:
        """Wait until a zone's write has reached the others, and record how long it took.

        Args:
            zone: the zone that writes.
            prefix: of a subnet that it has already; empty for a new subnet.
            since: when there was a majority; now if None.
        """
        start = time.monotonic() if since is None else since
        self.wait_for_route(prefix or self.flag(zone), zone)
        self.resumed_s = max(self.resumed_s, time.monotonic() - start)
        for name in self.members.names:
            self.acknowledged |= self.members.contents(name, "sb")


class IcFaults:
    """Three zones over several members, under traffic.

    Args:
        joined: the zones.
        rows: the results are appended here.
    """

    def __init__(self, joined: Joined, rows: list[Row]) -> None:
        self.joined, self.members = joined, LabMembers(joined.lab)
        self._rows, self._numbers = rows, count(1)

    @contextmanager
    def fault(self, name: str) -> Iterator[Fault]:
        """Run a body that breaks something and calls `resume`.

        Raises:
            AssertionError: a packet, a route or a row was lost, or writes resumed late.
        """
        before, logs = self._rows_held(), self._logs()
        with Traffic(self.joined.lab, FLOWS, FLOWS) as traffic:
            traffic.cut(5)
            fault = Fault(self.joined, self.members, self._numbers)
            yield fault
            self.members.wait_until_whole()
            for zone in ("az1", "az2", "az3"):
                fault.wait_for_route(fault.flag(zone), zone)
            loss = traffic.cut()
        self._check(loss, logs)
        rows = before | fault.acknowledged
        assert len(rows) > len(before), "nothing was written"
        gone = rows - self._rows_held()
        assert not gone, f"rows are gone: {gone}"
        self._rows.append(Row(name, loss, fault.resumed_s, len(rows)))
        if RECORDING:
            late = f"writes resumed after {fault.resumed_s:.1f} s"
            assert fault.resumed_s <= RESUME_S, late

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """Cut a member off from the other members and the zones while the body runs."""
        self.joined.lab.partition(name)
        try:
            yield
        finally:
            self.joined.lab.partition(name, cut=False)

    def restart_daemon(self, zone: str) -> None:
        """Kill a zone's Isthmus and start it again; returns when it works."""
        handle = self.joined.cluster(zone)
        since = len(handle.isthmus_log())
        handle.restart_isthmus()
        wait_until(lambda: "active" in handle.isthmus_log()[since:], LIMIT_S, f"{zone} to work")

    def _rows_held(self) -> set[tuple[str, str]]:
        """The rows that all members have."""
        self.members.wait_until_whole()
        first = self.members.names[0]
        return self.members.contents(first, "nb") | self.members.contents(first, "sb")

    def _logs(self) -> dict[str, ChangeLog]:
        places = self.joined.lab.layout
        hosts = [cluster.central.name for cluster in self.joined.lab.plan.clusters]
        names = [(host, short) for host in hosts for short in ("nb", "sb")]
        return {
            f"{short} of {host}": ChangeLog(places.db(host) / f"ovn{short}_db.db")
            for host, short in names
        }

    @staticmethod
    def _check(loss: Loss, logs: dict[str, ChangeLog]) -> None:
        for name, log in logs.items():
            deleted = log.deleted()
            kept = deleted if name.startswith("nb") else {t: deleted[t] for t in _KEPT}
            assert sum(kept.values()) == 0, f"deleted from {name}: {kept}"
        for flow in FLOWS:
            pings, stream = loss.pings[flow], loss.streams[flow]
            assert pings.sent, f"{flow}: nothing was sent"
            assert pings.lost == 0, f"{flow}: {pings}"
            assert not stream.error, f"{flow}: {stream}"
            assert stream.lost <= 0, f"{flow}: {stream}"

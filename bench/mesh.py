"""A full mesh: zones with databases, northd and a daemon each, which all advertise to all."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.zone import Client, StaticRoute, cpu_seconds, follow
from isthmus.model.operations import Insert, Mutate, NewRef
from isthmus.model.rows import Database, LogicalRouter, LogicalRouterPort, NbGlobal
from support.ovn.servers import RealFleet, wait_until

SUBNETS = 200


@dataclass(frozen=True, slots=True)
class Mesh:
    """One kind of daemon in all zones.

    Args:
        enable_s: seconds from enabling routes in all zones until each has all routes.
        enable_cpu_s: CPU seconds of all daemons for that.
        event_s: median seconds from adding a subnet in one zone until all others have its route.
        event_cpu_s: CPU seconds of all daemons per added subnet.
    """

    daemon: str
    zones: int
    subnets: int
    enable_s: float
    enable_cpu_s: float
    event_s: float
    event_cpu_s: float


def measure(daemon: str, zones: int, events: int) -> Mesh:
    """Build a mesh, enable routes, then add subnets."""
    with tempfile.TemporaryDirectory() as directory:
        fleet = RealFleet(Path(directory))
        try:
            return _measure(fleet, daemon, zones, events)
        finally:
            fleet.stop()


def _measure(fleet: RealFleet, daemon: str, zones: int, events: int) -> Mesh:
    fleet.add_ts("ts")
    pids = [_add_zone(fleet, number, daemon) for number in range(1, zones + 1)]
    published = f"{zones} ports in IC-SB"
    wait_until(lambda: _ports(fleet) == zones, published, 120.0)
    watched = [Client(Database.NB, z.remotes[Database.NB], StaticRoute) for z in fleet.zones]
    routers = [Client(Database.NB, z.remotes[Database.NB], LogicalRouter) for z in fleet.zones[:1]]
    before = _cpu(pids)
    began = time.monotonic()
    for zone in fleet.zones:
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-adv=true")
        zone.nbctl("set", "NB_Global", ".", "options:ic-route-learn=true")
    expected = (zones - 1) * SUBNETS
    follow(watched, lambda: all(client.count(StaticRoute) >= expected for client in watched))
    enable, enable_cpu = time.monotonic() - began, _rest(pids) - before
    _rest([zone.servers.pid("northd") for zone in fleet.zones])  # otherwise it delays the events
    times, cpu = _events(watched, routers[0], pids, expected, events)
    return Mesh(
        daemon=daemon,
        zones=zones,
        subnets=SUBNETS,
        enable_s=round(enable, 2),
        enable_cpu_s=round(enable_cpu, 2),
        event_s=round(times, 3),
        event_cpu_s=round(cpu, 3),
    )


def _add_zone(fleet: RealFleet, number: int, daemon: str) -> int:
    zone = fleet.add_zone(f"az{number}")
    client = Client(Database.NB, zone.remotes[Database.NB], LogicalRouter, NbGlobal)
    _add_subnets(client, number, range(SUBNETS))
    client.session.close()
    pid = zone.start_daemon(daemon)
    zone.join("ts", f"169.254.100.{number}/24")
    return pid


def _add_subnets(client: Client, number: int, subnets: Sequence[int]) -> None:
    router = next(iter(client.rows[LogicalRouter]))
    refs = [NewRef() for _ in subnets]
    inserts = [
        Insert(
            LogicalRouterPort,
            {
                "name": f"subnet{number}-{n}",
                "mac": "0a:00:00:00:00:01",
                "networks": frozenset({f"{10 + number}.{n // 250}.{n % 250}.1/24"}),
            },
            ref,
        )
        for n, ref in zip(subnets, refs, strict=True)
    ]
    joined = Mutate(LogicalRouter, router, (("ports", "insert", frozenset(refs)),))
    client.write([*inserts, joined])


def _ports(fleet: RealFleet) -> int:
    arguments = ("--bare", "--columns=address", "find", "Port_Binding", 'address!=""')
    return len(fleet.ic.ctl("ovn-ic-sbctl", Database.IC_SB, *arguments).split("\n\n"))


def _events(
    watched: Sequence[Client], router: Client, pids: Sequence[int], expected: int, events: int
) -> tuple[float, float]:
    """Add subnets to the first zone, and wait until all others have learned them."""
    times = []
    before = _rest(pids)
    for n in range(events):
        began = time.monotonic()
        _add_subnets(router, 1, [SUBNETS + n])
        wanted = expected + n + 1
        follow(
            [*watched, router],
            lambda wanted=wanted: all(c.count(StaticRoute) >= wanted for c in watched[1:]),  # type: ignore[misc]
        )
        times.append(time.monotonic() - began)
    return statistics.median(times), (_rest(pids) - before) / events


def _cpu(pids: Sequence[int]) -> float:
    return sum(map(cpu_seconds, pids))


def _rest(pids: Sequence[int]) -> float:
    """The CPU that processes have used once they are idle."""
    used = -1.0
    while _cpu(pids) > used + 0.02:
        used = _cpu(pids)
        time.sleep(1.0)
    return _cpu(pids)

"""Two clusters that claim addresses at the same time: every order of reads and writes."""

import itertools

import pytest

from isthmus.engine.transactions import Transaction
from isthmus.model.rows import LogicalRouterPort
from support.fakes.controlled_zone import ControlledZone
from support.fakes.fleet import ControlledFleet

SUBNETS = {
    "ipv4, room for two": "169.254.100.0/30",
    "ipv6, room for two": "fe80:a9fe:64::/127",
    "dual": "169.254.100.0/24,fe80:a9fe:64::/112",
    "dual, room for two": "169.254.100.0/30,fe80:a9fe:64::/127",
}
TURNS = 2
"""Times that each cluster looks, and writes, in the order under test; then all is let settle."""


class Racer:
    """A cluster that plans and commits in single turns."""

    def __init__(self, site: ControlledZone) -> None:
        self.site = site
        self.planned: list[Transaction] = []

    def act(self) -> None:
        """Commit what was planned, or plan."""
        site = self.site
        if not self.planned:
            site.feed()
            self.planned = site.engine.plan(site.now, site.reachable, site.reachable)
            return
        planned, self.planned = self.planned, []
        for transaction in planned:
            result = site.commit(transaction)
            site.feed()
            site.engine.completed(transaction, result, site.now)


def addresses(fleet: ControlledFleet, ts: str) -> list[set[str]]:
    """The addresses of each zone's port on a transit switch."""
    return [
        {
            network.partition("/")[0]
            for port in site.all(LogicalRouterPort, name=f"{site.name}-{ts}")
            for network in port["networks"]
        }
        for site in fleet.zones
    ]


def orders() -> list[tuple[int, ...]]:
    """All interleavings of the turns of two clusters."""
    steps = 2 * TURNS
    return [
        tuple(0 if turn in first else 1 for turn in range(2 * steps))
        for first in map(set, itertools.combinations(range(2 * steps), steps))
    ]


@pytest.mark.parametrize("subnets", SUBNETS.values(), ids=SUBNETS)
def test_clusters_that_race_never_share_an_address(subnets: str) -> None:
    """In every order, both get an address per family, and never the same one."""
    fleet = ControlledFleet("az1", "az2", subnets="192.0.2.0/24")
    for site in fleet.zones:
        site.join()
    fleet.settle()
    for number, order in enumerate(orders()):
        ts = f"race{number}"
        fleet.add_ts(ts, subnets)
        racers = [Racer(site) for site in fleet.zones]
        for who in order:
            racers[who].act()
            one, two = addresses(fleet, ts)
            assert not one & two, (order, one & two)
        for racer in racers:
            if racer.planned:
                racer.act()
        _check_settled(fleet, ts, subnets)


def _check_settled(fleet: ControlledFleet, ts: str, subnets: str) -> None:
    fleet.settle()
    one, two = addresses(fleet, ts)
    assert len(one) == len(two) == len(subnets.split(","))
    assert not one & two
    claimed = {key.removeprefix("isthmus-address-") for key in fleet.ts(ts)["external_ids"]}
    assert claimed == one | two | {"subnet", "vendor"}
    fleet.drop_ts(ts)
    fleet.settle()

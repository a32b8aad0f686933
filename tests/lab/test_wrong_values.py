"""Every wrong value of the configuration reference, under traffic.

Each is named by a problem with the reason that the reference gives, costs no packet, and leaves
nothing behind when it is undone.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from isthmus.ovsdb.unixctl_client import ask
from isthmus_lab.lab import Lab
from isthmus_lab.topology.schema import Topology
from support.lab.joined import Joined, topology
from support.lab.live_edits import FLOWS, THREE_CLUSTERS, WEB, check
from support.lab.traffic import Traffic
from support.lab.wrong_values import WrongValue, batches

# A packet lost by chance is not lost again in a second attempt; see SingleLossError.
pytestmark = [
    pytest.mark.lab,
    pytest.mark.flaky(reruns=1, only_rerun=["SingleLossError"]),
]

AFTER = 20
"""Intervals (10 ms) for which traffic continues after a value was undone."""


@pytest.fixture(scope="module")
def watched(make_module_lab: Callable[[Topology], Lab]) -> Iterator[tuple[Joined, Traffic]]:
    """Three joined clusters, configured by files, and traffic between them."""
    joined = Joined.of(make_module_lab(topology(THREE_CLUSTERS)))
    with Traffic(joined.lab, FLOWS, FLOWS) as traffic:
        yield joined, traffic


def problems(joined: Joined) -> list[dict[str, str]]:
    """The problems that az1 reports."""
    control = joined.lab.layout.run("az1-gw") / "isthmus.ctl"
    status = json.loads(ask(str(control), "isthmus/conditions", "json"))
    found: list[dict[str, str]] = status["problems"]
    return found


def is_named(wrong: WrongValue, found: list[dict[str, str]]) -> bool:
    """Whether a problem with the reason and the words is among those found."""
    return any(
        problem["reason"] == wrong.reason and wrong.says in " ".join(problem.values())
        for problem in found
    )


def write(joined: Joined, batch: tuple[WrongValue, ...]) -> None:
    """Write wrong values of the ConfigMap, or of the Subnet, of az1."""
    values = {wrong.key: wrong.value for wrong in batch}
    where = (
        ("Subnet", "apps", "spec") if batch[0].subnet else ("ConfigMap", "ovn-ic-config", "data")
    )
    joined.cluster("az1").manifests.merge(*where, values)


@pytest.mark.parametrize(
    "batch",
    tuple(batches()),
    ids=lambda batch: ",".join(f"{wrong.key}={wrong.kind}" for wrong in batch),
)
def test_wrong_values_are_named_and_cost_no_packet(
    watched: tuple[Joined, Traffic], batch: tuple[WrongValue, ...]
) -> None:
    """All values of the batch are reported, no packet is lost, and undoing restores everything."""
    joined, traffic = watched
    before = problems(joined)
    write(joined, batch)
    try:
        for wrong in batch:
            joined.wait(lambda wrong=wrong: is_named(wrong, problems(joined)), str(wrong))  # type: ignore[misc]
    finally:
        joined.reset()
    joined.wait(lambda: problems(joined) == before, "the former problems")
    loss = traffic.cut(AFTER)
    stopped = (WEB,) if any(wrong.stops for wrong in batch) else ()
    check(loss, [flow for flow in FLOWS if flow not in stopped], 0.0)

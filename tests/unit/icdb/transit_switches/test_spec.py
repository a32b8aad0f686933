"""Transit switches on the command line, compared with existing rows."""

from ipaddress import ip_network

import pytest

from isthmus.icdb.transit_switches.spec import (
    DEFAULT,
    CreationPlan,
    TransitSwitchSpec,
    parse_transit_switches,
    plan_creation,
)
from isthmus.model.rows import RowId, TransitSwitch

TS1 = TransitSwitchSpec("ts1", (ip_network("169.254.101.0/24"),))


def row(name: str, subnet: str | None, vendor: str | None = "kube-ovn") -> TransitSwitch:
    ids = {"subnet": subnet, "vendor": vendor}
    return TransitSwitch(
        uuid=RowId(name), name=name, external_ids={k: v for k, v in ids.items() if v is not None}
    )


@pytest.mark.parametrize(
    ("text", "subnet"),
    [
        ("ts=169.254.100.0/24", "169.254.100.0/24"),
        ("ts-1.b=fe80:a9fe:64::/112", "fe80:a9fe:64::/112"),
        ("ts=169.254.100.0/24,FE80:A9FE:64::/112", "169.254.100.0/24,fe80:a9fe:64::/112"),
        ("ts=fe80:a9fe:64::/112,169.254.100.0/24", "169.254.100.0/24,fe80:a9fe:64::/112"),
    ],
)
def test_well_formed(text: str, subnet: str) -> None:
    """One or two subnets are accepted; IPv4 comes first in the value, as in Kube-OVN."""
    (spec,), problems = parse_transit_switches([text])
    assert (spec.subnet, problems) == (subnet, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ts", "is not NAME=CIDR[,CIDR6][@NETWORK]"),
        ("=169.254.100.0/24", "is not NAME=CIDR[,CIDR6][@NETWORK]"),
        ("t s=169.254.100.0/24", "is not NAME=CIDR[,CIDR6][@NETWORK]"),
        ("ts=", "'' is not a CIDR"),
        ("ts=169.254.100.0/33", "'169.254.100.0/33' is not a CIDR"),
        ("ts=169.254.100.1/24", "'169.254.100.1/24' has host bits set"),
        ("ts=169.254.100.0", "'169.254.100.0' has no room for two router ports"),
        ("ts=169.254.100.0/31", "'169.254.100.0/31' has no room for two router ports"),
        ("ts=169.254.100.0/24@", "'' is not a valid network name"),
        ("ts=169.254.100.0/24@a@b", "'a@b' is not a valid network name"),
        ("ts=169.254.100.0/24,169.254.101.0/24", "has two subnets of one address family"),
    ],
)
def test_ill_formed(text: str, message: str) -> None:
    """Each mistake is named, with the value as typed."""
    specs, [problem] = parse_transit_switches([text])
    assert specs == ()
    assert (problem.key, problem.value, problem.message) == ("--transit-switch", text, message)
    assert problem.remedy


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("ts=169.254.101.0/24", "has a name that is given twice"),
        ("ts1=169.254.100.128/25", "overlaps the subnet 169.254.100.0/24 of ts"),
    ],
)
def test_clashes(second: str, message: str) -> None:
    """Two transit switches cannot share a name or addresses."""
    _, [problem] = parse_transit_switches(["ts=169.254.100.0/24", second])
    assert (problem.value, problem.message) == (second, message)


def test_all_mistakes_are_reported_at_once() -> None:
    """The first mistake does not hide the second."""
    _, problems = parse_transit_switches(["a", "b=x", "ts=169.254.100.0/24"])
    assert [problem.value for problem in problems] == ["a", "b=x"]


def test_a_transit_switch_without_marks_does_not_stop_the_databases() -> None:
    """Kube-OVN's start script up to 1.15 writes no subnet if TS_NAME is not `ts`."""
    unmarked = row("interconn", None, vendor=None)
    spec = TransitSwitchSpec("interconn", DEFAULT.subnets)
    plan = plan_creation((spec,), [unmarked])
    assert (plan.create, plan.clashes) == ((), ())
    (problem,) = plan.differences
    assert "external_ids:subnet=169.254.100.0/24" in problem.remedy


def test_what_is_missing_is_created() -> None:
    """Switches that exist as given are left alone, the others are created."""
    assert plan_creation((DEFAULT, TS1), [row("ts", DEFAULT.subnet)]) == CreationPlan(create=(TS1,))


def test_the_default_is_for_empty_databases() -> None:
    """By default one switch is created if none of ours exists; other vendors' do not count."""
    assert plan_creation(None, []) == CreationPlan(create=(DEFAULT,))
    assert plan_creation(None, [row("other", None, vendor=None)]) == CreationPlan(create=(DEFAULT,))
    assert plan_creation(None, [row("ts7", "169.254.107.0/24")]) == CreationPlan()


def test_an_existing_subnet_is_kept() -> None:
    """A switch with another subnet is reported, not created again."""
    decision = plan_creation((DEFAULT,), [row("ts", "169.254.200.0/24")])
    assert (decision.create, decision.clashes) == ((), ())
    [problem] = decision.differences
    assert (problem.object, problem.value) == ("transit switch ts", "169.254.200.0/24")
    assert "--transit-switch ts=169.254.200.0/24" in problem.remedy


def test_a_switch_of_a_network() -> None:
    """The row names its network; switches of different networks may share addresses."""
    specs, problems = parse_transit_switches([str(DEFAULT), "b1=169.254.100.0/24@blue"])
    assert problems == []
    assert [str(spec) for spec in specs] == ["ts=169.254.100.0/24", "b1=169.254.100.0/24@blue"]
    assert specs[1].external_ids == {
        "subnet": "169.254.100.0/24",
        "vendor": "isthmus",
        "isthmus-network": "blue",
    }
    ids = dict(specs[1].external_ids)
    existing = TransitSwitch(uuid=RowId("b1"), name="b1", external_ids=ids)
    assert plan_creation(specs, [existing]) == CreationPlan(create=(DEFAULT,))
    ids["isthmus-network"] = "red"
    [problem] = plan_creation(specs, [existing]).differences
    assert (problem.key, problem.value) == ("external_ids:isthmus-network", "red")
    assert "--transit-switch b1=169.254.100.0/24@red" in problem.remedy


def test_order_and_spelling_of_subnets_do_not_matter() -> None:
    """Another notation of the same subnets is not a difference."""
    both = TransitSwitchSpec("ts", (ip_network("10.0.0.0/24"), ip_network("fd00::/112")))
    assert plan_creation((both,), [row("ts", "fd00:0::/112, 10.0.0.0/24")]) == CreationPlan()


def test_a_foreign_switch_keeps_its_name() -> None:
    """The name of another vendor's switch cannot be used."""
    decision = plan_creation((DEFAULT,), [row("ts", DEFAULT.subnet, vendor="acme")])
    assert (decision.create, decision.differences) == ((), ())
    [problem] = decision.clashes
    assert problem.message == "is the name of another vendor's transit switch"

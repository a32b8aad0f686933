"""Transit switches on the command line and against existing rows."""

from ipaddress import ip_network

import pytest

from isthmus.icdb.transit_switches.spec import (
    DEFAULT,
    Decision,
    TransitSwitchSpec,
    decide,
    parse_transit_switches,
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
    """One or two subnets are taken, and written with IPv4 first, as Kube-OVN does."""
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
        ("ts=169.254.100.0/24@", "'' cannot be the name of a network"),
        ("ts=169.254.100.0/24@a@b", "'a@b' cannot be the name of a network"),
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
        ("ts=169.254.101.0/24", "the name is given twice"),
        ("ts1=169.254.100.128/25", "overlaps the subnet 169.254.100.0/24 of ts"),
    ],
)
def test_clashes(second: str, message: str) -> None:
    """Two transit switches share neither name nor addresses."""
    _, [problem] = parse_transit_switches(["ts=169.254.100.0/24", second])
    assert (problem.value, problem.message) == (second, message)


def test_all_mistakes_are_reported_at_once() -> None:
    """A second mistake is not hidden by the first."""
    _, problems = parse_transit_switches(["a", "b=x", "ts=169.254.100.0/24"])
    assert [problem.value for problem in problems] == ["a", "b=x"]


def test_what_is_missing_is_created() -> None:
    """Switches that exist as wanted are left alone, the others are created."""
    assert decide((DEFAULT, TS1), [row("ts", DEFAULT.subnet)]) == Decision(create=(TS1,))


def test_the_default_is_for_empty_databases() -> None:
    """Without a wish, one switch is made if none of ours exists; a foreign one does not count."""
    assert decide(None, []) == Decision(create=(DEFAULT,))
    assert decide(None, [row("other", None, vendor=None)]) == Decision(create=(DEFAULT,))
    assert decide(None, [row("ts7", "169.254.107.0/24")]) == Decision()


def test_an_existing_subnet_is_kept() -> None:
    """A switch with another subnet is not created again but reported, with a way out."""
    decision = decide((DEFAULT,), [row("ts", "169.254.200.0/24")])
    assert (decision.create, decision.clashes) == ((), ())
    [problem] = decision.differences
    assert (problem.object, problem.value) == ("transit switch ts", "169.254.200.0/24")
    assert "--transit-switch ts=169.254.200.0/24" in problem.remedy


def test_a_switch_of_a_network() -> None:
    """It says which network it serves, and may have the addresses of one of another network."""
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
    assert decide(specs, [existing]) == Decision(create=(DEFAULT,))
    ids["isthmus-network"] = "red"
    [problem] = decide(specs, [existing]).differences
    assert (problem.key, problem.value) == ("external_ids:isthmus-network", "red")
    assert "--transit-switch b1=169.254.100.0/24@red" in problem.remedy


def test_order_and_spelling_of_subnets_do_not_matter() -> None:
    """A subnet that others wrote in another way is no difference."""
    both = TransitSwitchSpec("ts", (ip_network("10.0.0.0/24"), ip_network("fd00::/112")))
    assert decide((both,), [row("ts", "fd00:0::/112, 10.0.0.0/24")]) == Decision()


def test_a_foreign_switch_keeps_its_name() -> None:
    """A name that another vendor's switch has cannot be had."""
    decision = decide((DEFAULT,), [row("ts", DEFAULT.subnet, vendor="acme")])
    assert (decision.create, decision.differences) == ((), ())
    [problem] = decision.clashes
    assert problem.message == "another vendor's transit switch has that name"

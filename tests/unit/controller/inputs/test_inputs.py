"""Subnets, Nodes, and which inputs are in force."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from isthmus.controller.config.configmap import ALL_KEYS, ConfigKey, JoinZone, LeaveZone
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.controller.inputs.nodes import parse_node
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.controller.inputs.subnets import Subnet, parse_subnet
from isthmus.manifests.documents import read_documents
from isthmus.model.prefixes import Network
from isthmus.model.problems import Subject
from isthmus.model.reasons import Reason
from support.fakes.manifests import config_map, manifest, node, snapshot, subnet

EXAMPLES = Path(__file__).parents[4] / "examples" / "manifests"


def private(inputs: Inputs) -> set[str]:
    """The private prefixes as text."""
    return {str(prefix) for prefix in inputs.private_prefixes(inputs.vpc)}


def told(inputs: Inputs) -> str:
    """The reported problems as text."""
    return "\n".join(map(str, inputs.problems))


# -- subnets and nodes -------------------------------------------------------------------------


def test_the_documents_subnet() -> None:
    """The Subnet of Kube-OVN's guide, as printed there."""
    content = (EXAMPLES / "no-advertise.yaml").read_bytes()
    (written,) = read_documents("no-advertise.yaml", content).manifests.values()
    expected = Subnet("no-advertise", (ip_network("10.199.0.0/16"),), disabled=True)
    assert parse_subnet(written, None) == (expected, ())


def test_all_examples_are_valid() -> None:
    """Every example manifest is read without a problem."""
    found: dict[ObjectKey, Manifest] = {}
    for path in sorted(EXAMPLES.iterdir()):
        documents = read_documents(path.name, path.read_bytes())
        assert not documents.problems
        found.update(documents.manifests)
    inputs = Inputs()
    inputs.update(snapshot(*found.values()))
    assert told(inputs) == ""
    assert private(inputs) == {
        "10.199.0.0/16",
        "100.64.0.0/16",
        "fd00:100:64::/112",
        "192.168.42.145/32",
        "192.168.42.146/32",
    }


def test_a_dual_stack_subnet() -> None:
    """A Subnet may have both families; host bits are ignored, as in Kube-OVN."""
    found, problems = parse_subnet(subnet("a", "10.16.0.1/16, fd00::/64", vpc="v", vlan="x"), None)
    assert (found, problems) == (
        Subnet("a", (ip_network("10.16.0.0/16"), ip_network("fd00::/64")), "v", "x"),
        (),
    )


@pytest.mark.parametrize(
    ("cidr", "spec", "prefixes"),
    [
        (None, {"vlan": "v100"}, ()),
        ("", {"vlan": "v100"}, ()),
        (None, {"provider": "macvlan.default"}, ()),
        ("10.16.0.0/16", {"provider": "macvlan.default"}, ()),
        ("10.16.0.0/16", {"provider": "net1.default.ovn"}, (ip_network("10.16.0.0/16"),)),
        ("10.16.0.0/16", {"provider": "ovn"}, (ip_network("10.16.0.0/16"),)),
    ],
)
def test_subnets_that_kube_ovn_accepts(
    cidr: str | None, spec: dict[str, str], prefixes: tuple[Network, ...]
) -> None:
    """Underlays with a DHCP server have no CIDR, and other providers' Subnets are not on OVN."""
    found, problems = parse_subnet(subnet("a", cidr, **spec), None)
    assert problems == ()
    assert found == Subnet("a", prefixes, vlan=spec.get("vlan", ""))


@pytest.mark.parametrize(
    ("cidr", "spec", "expected"),
    [
        (None, {}, "Subnet a: spec.cidrBlock: is missing"),
        (7, {}, "spec.cidrBlock = '7': must be a string"),
        (["10.16.0.0/16"], {}, "spec.cidrBlock = 'a list of 1': must be a string"),
        ({"v4": "10.16.0.0/16"}, {}, "spec.cidrBlock = 'a mapping of 1': must be a string"),
        ("10.16.0.0/33", {}, "spec.cidrBlock = '10.16.0.0/33': is not a valid CIDR"),
        ("10.16.0.0/16,10.17.0.0/16", {}, "two CIDRs of one family"),
        ("10.16.0.0/16", {"disableInterConnection": "true"}, "must be true or false"),
        ("10.16.0.0/16", {"disableInterconnection": True}, "write disableInterConnection"),
        ("10.16.0.0/16", {"vpc": 3}, "spec.vpc = '3': must be a string"),
    ],
)
def test_an_invalid_subnet_keeps_its_last_valid_form(
    cidr: Any, spec: dict[str, Any], expected: str
) -> None:
    """Each invalid value is reported, and nothing of an invalid Subnet is applied."""
    last = Subnet("a", (ip_network("10.1.0.0/16"),))
    found, problems = parse_subnet(subnet("a", cidr, **spec), last)
    assert found == last
    assert expected in str(problems[0])


@pytest.mark.parametrize("key", ["disableInterConnection", "disableInterconnection"])
def test_an_unreadable_flag_keeps_a_new_subnet_private(key: str) -> None:
    """Without a last valid form, an unreadable privacy flag counts as set."""
    found, problems = parse_subnet(subnet("a", "10.1.0.0/16", **{key: "yes"}), None)
    assert found == Subnet("a", (ip_network("10.1.0.0/16"),), disabled=True)
    assert problems


def test_a_new_subnet_without_a_readable_cidr_is_ignored() -> None:
    """A new Subnet without a readable CIDR is ignored."""
    assert parse_subnet(subnet("a", "x"), None)[0] is None


@pytest.mark.parametrize(("status", "ready"), [("True", True), ("Unknown", False), (None, None)])
def test_whether_a_node_is_ready(status: str | None, ready: bool | None) -> None:
    """A node with the status Unknown is not Ready; a manifest without conditions says neither."""
    conditions = [{"type": "Ready", "status": status}] if status else []
    found, problems = parse_node(manifest("Node", "n", status={"conditions": conditions}), None)
    assert (found.ready, problems) == (ready, ())


def test_a_bad_node_address() -> None:
    """An invalid address is reported with its index; the other addresses of a new Node count."""
    found, problems = parse_node(node("n", "10.0.0.1", "10.0.0.x", "fd00::1"), None)
    assert [str(address) for address in found.addresses] == ["10.0.0.1", "fd00::1"]
    assert "Node n: status.addresses[1].address = '10.0.0.x': is not a valid IP address" in str(
        problems[0]
    )
    last, _ = parse_node(node("n", "10.0.0.9"), None)
    assert parse_node(node("n", "10.0.0.x"), last)[0] == last
    assert "must be a list" in str(parse_node(manifest("Node", "n", status={"addresses": 1}), None))


# -- what is in force --------------------------------------------------------------------------


def test_a_missing_config_map_is_not_reported_next_to_what_cannot_be_read() -> None:
    """It may be in what cannot be read, which is the cause and is reported alone."""
    inputs = Inputs()
    unread = Subject("directory /m").problem("cannot be read", "make it readable")
    inputs.update(replace(snapshot(complete=False), problems=(unread,)))
    assert inputs.problems == (unread,)


def test_nothing_is_known_at_first() -> None:
    """Nothing is wanted before the first snapshot with a valid ConfigMap."""
    inputs = Inputs()
    assert inputs.wanted is None
    inputs.update(snapshot(config_map(enable_ic="True")))
    assert inputs.wanted is None
    inputs.update(snapshot(complete=False))
    assert inputs.wanted is None
    assert "is missing, but not everything could be read" in told(inputs)
    changed = inputs.update(snapshot(config_map()))
    assert changed == Changed(ALL_KEYS, frozenset({inputs.vpc}), private=True)
    assert changed.taking_part
    assert isinstance(inputs.wanted, JoinZone)


def test_an_invalid_config_map_changes_nothing() -> None:
    """The valid configuration stays in force, and problems are reported until they are fixed."""
    inputs = Inputs()
    inputs.update(snapshot(config_map()))
    before = inputs.config
    assert inputs.update(snapshot(config_map(ic_nb_port="x", az_name="az2"))) == Changed()
    assert inputs.config == before
    assert "ic-nb-port" in told(inputs)
    changed = inputs.update(snapshot(config_map(az_name="az2")))
    assert changed == Changed(frozenset({ConfigKey.AZ_NAME}))
    assert not changed.taking_part
    assert told(inputs) == ""


def test_no_config_map_is_leave() -> None:
    """A cluster leaves when a complete snapshot has no ConfigMap."""
    inputs = Inputs()
    inputs.update(snapshot(config_map()))
    inputs.update(snapshot(complete=False))
    joined = inputs.wanted
    assert isinstance(joined, JoinZone)
    inputs.update(snapshot())
    assert inputs.wanted == LeaveZone("there is no ConfigMap kube-system/ovn-ic-config")


def test_a_joined_cluster_without_any_object_at_the_start_has_lost_them() -> None:
    """A source with no object at all is not intent; it lasts until the ConfigMap is there again."""
    inputs = Inputs()
    for objects in ((), (node("n", "192.0.2.1"),), (subnet("a", "10.1.0.0/16"),)):
        inputs.update(snapshot(*objects), joined=True)
        assert (inputs.wanted, inputs.complete) == (None, False)
        assert [problem.reason for problem in inputs.problems] == [Reason.OBJECTS_LOST]
    inputs.update(snapshot(config_map()), joined=True)
    assert isinstance(inputs.wanted, JoinZone)
    assert told(inputs) == ""
    inputs.update(snapshot(), joined=True)
    assert inputs.leaving


@pytest.mark.parametrize(
    ("first", "joined"),
    [
        (snapshot(), False),
        (snapshot(node("n", "192.0.2.1")), True),
        (snapshot(config_map(ic_nb_port="x")), True),
        (snapshot(complete=False), False),
    ],
)
def test_a_missing_config_map_at_the_start_is_leave_otherwise(
    first: Snapshot, joined: bool
) -> None:
    """It counts where other objects exist or existed, and where there is nothing to lose."""
    inputs = Inputs()
    inputs.update(first, joined=joined)
    inputs.update(replace(first, objects={}, complete=True), joined=joined)
    assert inputs.leaving


def test_private_prefixes() -> None:
    """The private prefixes are those of disabled Subnets of the VPC, the join subnet and Nodes."""
    inputs = Inputs()
    inputs.update(
        snapshot(
            subnet("open", "10.1.0.0/16"),
            subnet("closed", "10.2.0.0/16,fd00::/64", disableInterConnection=True),
            subnet("named", "10.3.0.0/16", disableInterConnection=True, vpc="ovn-cluster"),
            subnet("other", "10.4.0.0/16", disableInterConnection=True, vpc="tenant"),
            subnet("join", "100.64.0.0/16"),
            node("n", "192.0.2.1", "fd01::1"),
        )
    )
    assert private(inputs) == {
        "10.2.0.0/16",
        "fd00::/64",
        "10.3.0.0/16",
        "100.64.0.0/16",
        "192.0.2.1/32",
        "fd01::1/128",
    }


def test_an_invalid_subnet_affects_no_other() -> None:
    """An invalid Subnet keeps its last valid form while others change."""
    inputs = Inputs()
    closed = {"disableInterConnection": True}
    inputs.update(snapshot(subnet("a", "10.1.0.0/16", **closed), subnet("b", "10.2.0.0/16")))
    changed = inputs.update(snapshot(subnet("a", "?"), subnet("b", "10.2.0.0/16", **closed)))
    assert changed == Changed(private=True, local=True)
    assert private(inputs) == {"10.1.0.0/16", "10.2.0.0/16"}
    assert "Subnet a" in told(inputs)
    inputs.update(snapshot(subnet("b", "10.2.0.0/16", **closed)))
    assert private(inputs) == {"10.2.0.0/16"}


def test_an_update_without_a_difference() -> None:
    """The same manifests again change nothing."""
    inputs = Inputs()
    inputs.update(snapshot(config_map(), node("n", "192.0.2.1")))
    assert inputs.update(snapshot(config_map(), node("n", "192.0.2.1"))) == Changed()
    changed = inputs.update(snapshot(config_map(), node("n")))
    assert changed == Changed(private=True, local=True, nodes=frozenset({"n"}))
    changed = inputs.update(snapshot(config_map(), node("n"), complete=False))
    assert changed == Changed(private=True, node_list=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("az-name", "az9"),
        ("ic-db-host", "192.0.2.7"),
        ("ic-nb-port", "1"),
        ("ic-sb-port", "1"),
        ("gw-nodes", "other"),
        ("auto-route", "false"),
        ("mtu", "1300"),
        ("vpcs", "v=blue"),
        ("accept", '{"*": {max: 1}}'),
        ("advertise", "10.1.0.0/16"),
        ("routes", "[{prefix: 10.9.0.0/16, zone: az2}]"),
        ("force-connect", "true"),
        ("max-routes-per-zone", "1000"),
        ("max-routes", "1000"),
    ],
)
def test_a_changed_key_is_named(key: str, value: str) -> None:
    """Of a changed ConfigMap, the keys with another value are named, and no other."""
    inputs = Inputs()
    inputs.update(snapshot(config_map()))
    changed = inputs.update(snapshot(config_map(**{key.replace("-", "_"): value})))
    assert changed.config_keys == {key}
    assert changed.vpcs == ({"v"} if key == "vpcs" else set())


def test_every_key_is_covered() -> None:
    """The cases above cover every key; `enable-ic` changes only with all others."""
    cases = test_a_changed_key_is_named.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {case[0] for case in cases} == set(ConfigKey) - {ConfigKey.ENABLE_IC}

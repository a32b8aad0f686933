"""Topology files: valid contents, defaults, and how errors are reported."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus_lab.errors import LabError
from isthmus_lab.topology.loader import BUILT_IN, dump, extend, find, load, parse, read

EXAMPLES = Path(__file__).parents[4] / "examples" / "topologies"


def minimal() -> dict[str, Any]:
    """The shortest topology: two clusters of one node each."""
    node = {"roles": ["central", "gateway"]}
    return {
        "clusters": [
            {
                "name": "az1",
                "nodes": [{"name": "n1", **node}],
                "pods": [{"name": "p1", "node": "n1"}],
            },
            {
                "name": "az2",
                "nodes": [{"name": "n2", **node}],
                "pods": [{"name": "p2", "node": "n2"}],
            },
        ]
    }


def faults(data: Any) -> list[tuple[str, str]]:
    """Key and value of all errors in the contents of a file."""
    with pytest.raises(LabError) as caught:
        parse(data, "file.yaml")
    assert all(p.object == "topology file.yaml" for p in caught.value.problems)
    assert all(p.message and p.remedy for p in caught.value.problems)
    return [(p.key, p.value) for p in caught.value.problems]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The shortest topology with one value changed.

    Args:
        path: keys and indexes, separated by dots.
        value: the new value.
    """
    data: Any = minimal()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    part = data
    for key in parents:
        part = part[key]
    part[last] = value
    return dict(data)


def test_defaults_are_kube_ovns() -> None:
    """Omitted values are Kube-OVN's defaults, different for each cluster."""
    topology = parse(minimal(), "file.yaml")
    first, second = topology.clusters
    assert [str(c.subnets[0].cidr[0]) for c in topology.clusters if c.subnets[0].cidr] == [
        "10.16.0.0/16",
        "10.17.0.0/16",
    ]
    assert first.join == second.join
    assert str((first.join or ())[0]) == "100.64.0.0/16"
    assert [(p.subnet, p.address) for p in first.pods] == [("ovn-default", "10.16.0.2")]
    assert first.gateways == ("n1",)
    assert [(t.name, str(t.cidr[0])) for t in topology.transit_switches] == [
        ("ts", "169.254.100.0/24")
    ]


def test_dual_stack_defaults_have_both_families() -> None:
    """In a dual-stack lab every default has an IPv4 and an IPv6 value."""
    topology = parse({**minimal(), "family": "dual"}, "file.yaml")
    assert topology.clusters[0].pods[0].address == "10.16.0.2,fd00:10:16::2"
    assert [n.version for n in topology.underlay or ()] == [4, 6]


def test_allotted_addresses_avoid_given_ones() -> None:
    """A pod without an address gets one that no other pod has requested."""
    data = minimal()
    data["clusters"][0]["pods"] = [
        {"name": "a", "node": "n1"},
        {"name": "b", "node": "n1", "address": "10.16.0.2"},
        {"name": "c", "node": "n1"},
    ]
    pods = (
        parse(
            {
                "clusters": [
                    {
                        **data["clusters"][0],
                        "subnets": [{"name": "ovn-default", "cidr": "10.16.0.0/16"}],
                    }
                ]
            },
            "file.yaml",
        )
        .clusters[0]
        .pods
    )
    assert [pod.address for pod in pods] == ["10.16.0.3", "10.16.0.2", "10.16.0.4"]


def test_dump_is_read_back_unchanged() -> None:
    """A topology is unchanged after it is written and read."""
    topology = parse(minimal(), "file.yaml")
    assert parse(yaml.safe_load(dump(topology)), "again.yaml") == topology


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("clusters.0.nodes.0.roles", ["centrall"], "clusters[0].nodes[0].roles[0]"),
        ("clusters.0.name", "AZ_1", "clusters[0].name"),
        ("clusters.1.name", "az1", "clusters[1].name"),
        ("clusters.1.nodes.0.name", "n1", "clusters[1].nodes[0].name"),
        ("clusters.0.nodes.0.name", "fabric", "clusters[0].nodes[0].name"),
        ("clusters.0.nodes.0.roles", ["gateway"], "clusters[0].nodes"),
        ("clusters.0.nodes", [], "clusters[0].nodes"),
        ("clusters.0.gateways", ["n2"], "clusters[0].gateways"),
        ("clusters.0.pods.0.node", "n9", "clusters[0].pods[0].node"),
        ("clusters.0.pods.0.subnet", "web", "clusters[0].pods[0].subnet"),
        ("clusters.0.pods.0.address", "10.16.0.0.1", "clusters[0].pods[0].address"),
        ("clusters.0.pods.0.address", "10.16.0.1", "clusters[0].pods[0].address"),
        ("clusters.0.pods.0.address", "10.99.0.2", "clusters[0].pods[0].address"),
        ("clusters.0.family", "ipv6", "clusters[0].family"),
        ("clusters.0.join", "fd00::/64", "clusters[0].join"),
        (
            "clusters.0.subnets",
            [{"name": "ovn-default", "cidr": "10.16/16"}],
            "clusters[0].subnets[0].cidr",
        ),
        (
            "clusters.0.subnets",
            [{"name": "ovn-default", "cidr": "100.64.8.0/24"}],
            "clusters[0].subnets[0].cidr",
        ),
        ("clusters.0.subnets", [{"name": "join"}], "clusters[0].subnets[0].name"),
        ("clusters.0.colour", "red", "clusters[0].colour"),
        ("transitSwitches", [{"name": "ts", "cidr": "fd00::/64"}], "transitSwitches[0].cidr"),
        ("underlay", 7, "underlay"),
        ("name", "a.b", "name"),
        ("datapath", "dpdk", "datapath"),
        ("ic", 3, "ic"),
        ("ic", {"members": 0}, "ic.members"),
        ("ic", {"authorize": True}, "ic.authorize"),
        ("ic", {"members": 8}, "ic.members"),
        ("ic", {"members": "3"}, "ic.members"),
        ("ic", {"members": True}, "ic.members"),
        ("ic", {"tls": "yes, please"}, "ic.tls"),
        ("ic", {"encrypted": True}, "ic.encrypted"),
        ("clusters.0.nodes.0.name", "ic-2", "clusters[0].nodes[0].name"),
    ],
)
def test_faults_are_named_by_key(path: str, value: Any, key: str) -> None:
    """All kinds of errors are reported with the file and the path of the key."""
    assert key in [found for found, _ in faults(changed(path, value))]


def test_full_subnet_is_named() -> None:
    """A subnet with fewer addresses than pods is reported at the first pod without one."""
    data = minimal()
    data["clusters"][0]["subnets"] = [{"name": "ovn-default", "cidr": "10.16.0.0/30"}]
    data["clusters"][0]["pods"] = [{"name": f"p{i}0", "node": "n1"} for i in range(1, 4)]
    assert [key for key, _ in faults(data)] == ["clusters[0].pods[2].address"]


def test_a_fault_is_reported_once() -> None:
    """A bad element is reported, without an additional error that the list is too short."""
    data = minimal()
    for cluster in data["clusters"]:
        cluster["nodes"][0]["rolls"] = []
    keys = [key for key, _ in faults(data)]
    assert keys == ["clusters[0].nodes[0].rolls", "clusters[1].nodes[0].rolls"]


def test_all_faults_are_reported_at_once() -> None:
    """Two errors in one file are both reported."""
    data = changed("clusters.0.pods.0.node", "n9")
    data["clusters"][1]["gateways"] = ["n8"]
    assert {value for _, value in faults(data)} == {"n9", "n8"}


@pytest.mark.parametrize("data", [None, [], "text", {"clusters": None}])
def test_files_of_the_wrong_shape_are_refused(data: Any) -> None:
    """A file that is not a mapping is reported and does not cause a crash."""
    assert faults(data)


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    """Invalid YAML is reported with the position."""
    file = tmp_path / "broken.yaml"
    file.write_text("clusters: [\n")
    with pytest.raises(LabError, match="line 2"):
        load(file)


def test_unknown_topology_lists_the_built_in_ones() -> None:
    """The error for an unknown topology lists the built-in ones."""
    with pytest.raises(LabError, match="demo"):
        find("dmeo")


def test_added_clusters_keep_the_others_values() -> None:
    """Adding a cluster does not change the others, and its defaults continue theirs."""
    topology = load(find("demo"))
    larger = extend(topology, find("third-cluster"))
    assert larger.clusters[:2] == topology.clusters
    assert [cluster.name for cluster in larger.clusters] == ["az1", "az2", "az3"]


def test_the_demo_among_the_examples_is_the_built_in_one() -> None:
    """The demo among the examples equals the built-in one."""
    assert read(EXAMPLES / "demo.yaml") == read(BUILT_IN / "demo.yaml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_named_after_their_files(path: Path) -> None:
    """Every example is valid, and its lab has the name of the file."""
    assert load(path).name == path.stem

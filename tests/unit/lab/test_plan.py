"""What a topology comes to: addresses, names, rows and command lines."""

from pathlib import Path

import pytest

from isthmus_lab import commands, kubeovn, requirements
from isthmus_lab.errors import LabError
from isthmus_lab.names import Places, netns_prefix
from isthmus_lab.plan import endpoint, make_plan
from isthmus_lab.topology import extend, find, load

PLACES = Places("demo", Path("/run/labs"))


def test_underlay_addresses_and_links_are_unique() -> None:
    """No two machines of a lab share an address, a link or a MAC address."""
    plan = make_plan(extend(load(find("demo")), find("third-cluster")))
    addresses = [i.ip for node in plan.nodes for i in node.underlay] + [i.ip for i in plan.ic]
    links = [node.fabric_link for node in plan.nodes]
    macs = [node.join_mac for node in plan.nodes] + [pod.mac for pod in plan.pods]
    for values in (addresses, links, macs, [node.system_id for node in plan.nodes]):
        assert len(set(values)) == len(values)


def test_plan_of_added_clusters_extends_the_old_one() -> None:
    """Adding a cluster leaves the plan of the others as it was."""
    topology = load(find("demo"))
    larger = make_plan(extend(topology, find("third-cluster")))
    assert larger.clusters[:2] == make_plan(topology).clusters


def test_gateways_are_marked_for_interconnection() -> None:
    """Only gateway nodes tell OVN that they carry traffic between clusters."""
    plan = make_plan(load(find("demo")))
    cluster = plan.clusters[0]
    for node, value in zip(cluster.nodes, ("true", "false"), strict=True):
        words = commands.vswitch_configuration(PLACES, cluster, node, "netdev")
        assert f'external_ids:ovn-is-interconn="{value}"' in words


def test_policies_by_source_cover_every_subnet_and_node() -> None:
    """Traffic that leaves a subnet goes to the pod's node, unless something allows it before."""
    words = kubeovn.nb_commands(make_plan(load(find("demo"))).clusters[0])
    matches = [words[i + 1] for i, word in enumerate(words) if word == "priority=29000"]
    assert matches == [
        'match="ip4.src == $ovn.default.az1.gw_ip4"',
        'match="ip4.src == $ovn.default.az1.worker_ip4"',
        'match="ip4.src == $apps.az1.gw_ip4"',
        'match="ip4.src == $apps.az1.worker_ip4"',
    ]


def test_centralized_subnets_leave_by_source_cidr() -> None:
    """A centralized subnet has one policy for all its pods."""
    path = Path(__file__).parents[3] / "examples" / "topologies" / "three-clusters.yaml"
    words = kubeovn.nb_commands(make_plan(load(path)).clusters[0])
    assert 'match="ip4.src == 10.26.0.0/16"' in words


def test_config_map_is_that_of_kube_ovns_guide() -> None:
    """Joining is the ConfigMap of the user's document with the lab's values."""
    plan = make_plan(load(find("demo")))
    assert kubeovn.config_map(plan, plan.clusters[0])["data"] == {
        "enable-ic": "true",
        "az-name": "az1",
        "ic-db-host": "192.168.65.3",
        "ic-nb-port": "6645",
        "ic-sb-port": "6646",
        "gw-nodes": "az1-gw",
        "auto-route": "true",
    }


def test_names_of_labs_do_not_overlap() -> None:
    """The namespaces of the lab `a` are not among those of `a-b`, nor the reverse."""
    assert not netns_prefix("a-b").startswith(netns_prefix("a"))


def test_endpoints_put_ipv6_in_brackets() -> None:
    """Database addresses are written as OVSDB reads them."""
    plan = make_plan(load(Path(__file__).parents[3] / "examples" / "topologies" / "dual.yaml"))
    assert [endpoint(i.ip, 6645) for i in plan.ic] == [
        "tcp:192.168.65.3:6645",
        "tcp:[fd00:65::3]:6645",
    ]


def test_others_than_root_are_told_to_use_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nothing is tried, and the message has the remedy."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="sudo"):
        requirements.check(isthmus_needed=False)


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is named together with the packages that have it."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "ovn-northd" else name)
    with pytest.raises(LabError, match=r"ovn-northd.*apt-get install ovn-central"):
        requirements.check(isthmus_needed=False)

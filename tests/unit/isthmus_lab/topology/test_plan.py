"""The plan of a topology: addresses, names, rows and command lines."""

from pathlib import Path

import pytest

from isthmus_lab.build import daemons, requirements
from isthmus_lab.errors import LabError
from isthmus_lab.topology import kube_ovn
from isthmus_lab.topology.layout import Layout, netns_prefix
from isthmus_lab.topology.loader import extend, find, load
from isthmus_lab.topology.plan import endpoint, ic_remote
from isthmus_lab.topology.planner import make_plan
from isthmus_lab.topology.schema import MOST_MEMBERS, IcDatabases

PLACES = Layout("demo", Path("/run/labs"))
EXAMPLES = Path(__file__).parents[4] / "examples" / "topologies"


def test_underlay_addresses_and_links_are_unique() -> None:
    """No two machines of a lab share an address, a link or a MAC address."""
    topology = extend(load(find("demo")), find("third-cluster"))
    databases = IcDatabases(members=MOST_MEMBERS)
    plan = make_plan(topology.model_copy(update={"ic": databases}))
    underlays = [node.underlay for node in plan.nodes] + [one.underlay for one in plan.ic_members]
    addresses = [interface.ip for underlay in underlays for interface in underlay]
    links = [node.fabric_link for node in plan.nodes]
    links += [member.fabric_link for member in plan.ic_members]
    macs = [node.join_mac for node in plan.nodes] + [pod.mac for pod in plan.pods]
    for values in (addresses, links, macs, [node.system_id for node in plan.nodes]):
        assert len(set(values)) == len(values)


def test_plan_of_added_clusters_extends_the_old_one() -> None:
    """Adding a cluster does not change the plan of the others."""
    topology = load(find("demo"))
    larger = make_plan(extend(topology, find("third-cluster")))
    assert larger.clusters[:2] == make_plan(topology).clusters


def test_gateways_are_marked_for_interconnection() -> None:
    """Only gateway nodes are marked as such for OVN."""
    plan = make_plan(load(find("demo")))
    cluster = plan.clusters[0]
    for node, value in zip(cluster.nodes, ("true", "false"), strict=True):
        words = daemons.vswitch_configuration(PLACES, cluster, node, "netdev")
        assert f'external_ids:ovn-is-interconn="{value}"' in words


def test_policies_by_source_cover_every_subnet_and_node() -> None:
    """Traffic that leaves a subnet goes to the pod's node, unless a higher priority allows it."""
    words = kube_ovn.nb_commands(make_plan(load(find("demo"))).clusters[0])
    matches = [words[i + 1] for i, word in enumerate(words) if word == "priority=29000"]
    assert matches == [
        'match="ip4.src == $ovn.default.az1.gw_ip4"',
        'match="ip4.src == $ovn.default.az1.worker_ip4"',
        'match="ip4.src == $apps.az1.gw_ip4"',
        'match="ip4.src == $apps.az1.worker_ip4"',
    ]


def test_centralized_subnets_leave_by_source_cidr() -> None:
    """A centralized subnet has one policy for all its pods."""
    plan = make_plan(load(EXAMPLES / "three-clusters.yaml"))
    words = kube_ovn.nb_commands(plan.clusters[0])
    assert 'match="ip4.src == 10.26.0.0/16"' in words


def test_config_map_is_that_of_kube_ovns_guide() -> None:
    """The ConfigMap for joining is that of Kube-OVN's guide with the values of the lab."""
    plan = make_plan(load(find("demo")))
    assert kube_ovn.config_map(plan, plan.clusters[0])["data"] == {
        "enable-ic": "true",
        "az-name": "az1",
        "ic-db-host": "192.168.65.3",
        "ic-nb-port": "6645",
        "ic-sb-port": "6646",
        "gw-nodes": "az1-gw",
        "auto-route": "true",
    }


def test_one_member_of_the_ic_databases_is_called_ic() -> None:
    """By default the IC databases run on one machine without TLS."""
    plan = make_plan(load(find("demo")))
    [member] = plan.ic_members
    assert (member.name, str(member.address)) == ("ic", "192.168.65.3")
    words = daemons.ic_databases(PLACES, plan, member)
    assert "--insecure" in words
    assert "--members" not in words


def test_members_and_zones_are_configured_with_all_members() -> None:
    """All members are configured with one list, TLS files per owner, and all addresses in `ic-db-
    host`."""
    plan = make_plan(load(EXAMPLES / "raft.yaml"))
    hosts = "192.168.65.3,192.168.65.4,192.168.65.5"
    assert [member.name for member in plan.ic_members] == ["ic-1", "ic-2", "ic-3"]
    assert kube_ovn.config_map(plan, plan.clusters[0])["data"]["ic-db-host"] == hosts
    for member in plan.ic_members:
        words = daemons.ic_databases(PLACES, plan, member)
        assert words[words.index("--members") + 1] == hosts
        assert words[words.index("--address") + 1] == str(member.address)
        assert words[words.index("--tls-dir") + 1] == f"/run/labs/demo/tls/{member.name}"
    assert "/run/labs/demo/tls/az1" in daemons.engine(PLACES, plan.clusters[0])
    assert (
        ic_remote(plan, 6646) == "ssl:192.168.65.3:6646,ssl:192.168.65.4:6646,ssl:192.168.65.5:6646"
    )


def test_an_authorizing_proxy_is_optional() -> None:
    """Zones connect to a proxy if the topology says so."""
    topology = load(EXAMPLES / "raft.yaml")
    ic = topology.ic.model_copy(update={"authorize": True})
    for changed, expected in ((topology, False), (topology.model_copy(update={"ic": ic}), True)):
        plan = make_plan(changed)
        words = daemons.ic_databases(PLACES, plan, plan.ic_members[0])
        assert ("--authorize" in words) is expected


def test_names_of_labs_do_not_overlap() -> None:
    """The namespaces of lab `a` are not among those of `a-b`, nor the reverse."""
    assert not netns_prefix("a-b").startswith(netns_prefix("a"))


def test_endpoints_put_ipv6_in_brackets() -> None:
    """Database addresses have the syntax of OVSDB."""
    plan = make_plan(load(EXAMPLES / "dual.yaml"))
    assert [endpoint(i.ip, 6645) for i in plan.ic_members[0].underlay] == [
        "tcp:192.168.65.3:6645",
        "tcp:[fd00:65::3]:6645",
    ]


def test_without_root_the_remedy_is_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nothing is changed, and the error has a remedy."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="sudo"):
        requirements.check(isthmus_needed=False)


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing programs are reported with the command that installs them."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "ovn-northd" else name)
    with pytest.raises(LabError, match=r"ovn-northd.*make setup"):
        requirements.check(isthmus_needed=False)

"""The ConfigMap: what each key means, and how invalid values are reported."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from isthmus.controller.config.configmap import (
    Config,
    InvalidConfig,
    JoinZone,
    LeaveZone,
    parse_config,
)
from isthmus.controller.inputs.inputs import DEFAULT_VPC
from isthmus.controller.inputs.snapshot import Manifest
from isthmus.manifests.documents import read_documents
from isthmus.model.route_rules import DeclaredRoute, RouteRules, ZoneRule
from support.fakes.manifests import config_map, manifest

EXAMPLES = Path(__file__).parents[4] / "examples" / "manifests"


def parse(written: Manifest) -> JoinZone | LeaveZone | InvalidConfig:
    """Parse a ConfigMap, with Kube-OVN's default VPC."""
    return parse_config(str(written.key), written.body.get("data"), DEFAULT_VPC)


def parsed(**changes: Any) -> Config:
    """The configuration from a valid ConfigMap."""
    result = parse(config_map(**changes))
    assert isinstance(result, JoinZone), result
    return result.config


def reported(**changes: Any) -> str:
    """The problems of an invalid ConfigMap."""
    result = parse(config_map(**changes))
    assert isinstance(result, InvalidConfig), result
    return "\n".join(map(str, result.problems))


def test_the_documents_config_map() -> None:
    """The ConfigMap of Kube-OVN's guide, as printed there."""
    content = (EXAMPLES / "ovn-ic-config.yaml").read_bytes()
    (written,) = read_documents("ovn-ic-config.yaml", content).manifests.values()
    config = Config("az1", ("192.168.65.3",), 6645, 6646, ("az1-gw",), True)
    assert parse(written) == JoinZone(config)
    assert config.ic_nb_remote == "tcp:192.168.65.3:6645"
    assert config.ic_sb_remote == "tcp:192.168.65.3:6646"


def test_lists_and_defaults() -> None:
    """Lists may contain spaces, IPv6 addresses get brackets, and ports have defaults."""
    config = parsed(
        ic_db_host="10.0.0.1, fd00:0::1 ,[fd00::2],db.example.org",
        ic_nb_port=None,
        ic_sb_port=None,
        gw_nodes=" gw2 , gw1",
        auto_route="false",
    )
    assert config.ic_nb_remote == (
        "tcp:10.0.0.1:6645,tcp:[fd00::1]:6645,tcp:[fd00::2]:6645,tcp:db.example.org:6645"
    )
    assert config.ic_sb_remote.endswith("tcp:db.example.org:6646")
    assert config.gateways == ("gw2", "gw1")
    assert not config.auto_route


@pytest.mark.parametrize("text", ["{},{},", ",{},,{}", " {} ,\n {} ", "{}\n{}\n", "{},\r\n{},\r\n"])
def test_extra_commas_and_line_breaks_in_lists(text: str) -> None:
    """Kube-OVN tolerates them, and they cannot mean anything else."""
    config = parsed(
        ic_db_host=text.format("10.0.0.1", "db.example.org"),
        gw_nodes=text.format("gw1", "gw2"),
        vpcs=text.format("vpc1=blue", "vpc2=red"),
        advertise=text.format("10.16.0.0/16", "10.17.0.0/16").strip(","),
    )
    assert config.hosts == ("10.0.0.1", "db.example.org")
    assert config.gateways == ("gw1", "gw2")
    assert config.vpcs == {"vpc1": "blue", "vpc2": "red"}
    assert config.advertise == tuple(map(ip_network, ("10.16.0.0/16", "10.17.0.0/16")))


def test_hosts_in_every_form() -> None:
    """With brackets and without, in upper case, with a final dot."""
    config = parsed(ic_db_host="[FD00::1], fd00::2, IC-DB.Example.org., 10.0.0.1")
    assert config.ic_nb_remote == (
        "tcp:[fd00::1]:6645,tcp:[fd00::2]:6645,tcp:IC-DB.Example.org.:6645,tcp:10.0.0.1:6645"
    )


def test_a_zone_name_may_hold_hyphens() -> None:
    """Names are never parsed, so they may contain hyphens."""
    assert parsed(az_name="az-1-ts").zone == "az-1-ts"


def test_a_disabled_cluster_leaves_whatever_else_is_wrong() -> None:
    """Leaving is possible even if other values are invalid."""
    result = parse(config_map(enable_ic="false", az_name="", ic_nb_port="x", zz="1"))
    assert result == LeaveZone('enable-ic is "false"')


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"enable_ic": "True"}, "enable-ic = 'True': must be exactly"),
        ({"enable_ic": "True"}, 'write "true"'),
        ({"enable_ic": "FALSE "}, 'write "false"'),
        ({"enable_ic": "yes"}, 'write "true" or "false"'),
        ({"enable_ic": True}, "enable-ic = 'True': must be a string; put it in quotes: \"true\""),
        ({"enable_ic": None}, "enable-ic: is missing; add enable-ic"),
        ({"az_name": None}, "az-name: is missing"),
        ({"az_name": ""}, "az-name: is empty"),
        ({"az_name": "az 1"}, "az-name = 'az 1': contains white space"),
        ({"az_name": 1}, 'put it in quotes: "1"'),
        ({"ic_db_host": None}, "ic-db-host: is missing"),
        ({"ic_db_host": " "}, "ic-db-host = ' ': is empty"),
        ({"ic_db_host": " ,\n,"}, "is empty; list at least one host"),
        ({"ic_db_host": "10.0.0.1 10.0.0.2"}, "10.0.0.1 10.0.0.2 is neither an IP address nor"),
        ({"ic_db_host": "[]"}, "[] is neither an IP address nor a host name"),
        ({"ic_db_host": "[10.0.0.1"}, "[10.0.0.1 is neither an IP address nor a host name"),
        ({"gw_nodes": ","}, "is empty; list at least one node name"),
        ({"gw_nodes": "gw1 gw2"}, "gw1 gw2 is not a valid node name"),
        ({"vpcs": ",="}, "= is not a valid VPC name"),
        ({"advertise": '","'}, "is empty; list prefixes, or remove the key"),
        ({"ic_db_host": "10.0.0.300"}, "10.0.0.300 is neither an IP address nor a host name"),
        ({"ic_db_host": "10.0.0.1:6645"}, "remove the port; set it with"),
        ({"ic_db_host": "fe80::1%eth0"}, "has a zone index"),
        ({"ic_db_host": "tcp:x"}, "neither an IP address nor a host name"),
        ({"ic_nb_port": "\x1f6645\x1f6646"}, "is not a valid TCP port"),
        ({"ic_nb_port": "http"}, "ic-nb-port = 'http': is not a valid TCP port; write a number"),
        ({"ic_sb_port": "0"}, "ic-sb-port = '0'"),
        ({"ic_sb_port": "65536"}, "ic-sb-port = '65536'"),
        ({"ic_nb_port": "٦٦"}, "is not a valid TCP port"),
        ({"ic_nb_port": "9" * 5000}, "is not a valid TCP port"),
        ({"ic_nb_port": 6645}, 'put it in quotes: "6645"'),
        ({"gw_nodes": None}, "gw-nodes: is missing"),
        ({"gw_nodes": ""}, "gw-nodes: is empty"),
        ({"gw_nodes": "gw1;gw2"}, "gw1;gw2 is not a valid node name"),
        ({"gw_nodes": ",".join(f"gw{i}" for i in range(101))}, "more than 100 nodes"),
        ({"gw_nodes": ["gw"]}, "gw-nodes = 'a list of 1': must be a string"),
        ({"auto_route": "on"}, "auto-route = 'on'"),
        ({"az_name": None, "az_nmae": "az1"}, "az-nmae: is not a known key; write az-name"),
        ({"az_name": None, "AZ_NAME": "az1"}, "write az-name"),
        ({"mtu": "0"}, "mtu = '0': is not a valid MTU; write the MTU of pods, 576 to 65535"),
        ({"mtu": "none"}, 'e.g. "1400", or "off"'),
        ({"mtu": 1400}, 'put it in quotes: "1400"'),
        ({"vpcs": ""}, "vpcs: is empty"),
        ({"vpcs": "vpc1"}, "vpc1 has no network; write VPC=NETWORK, e.g. vpc1=blue"),
        ({"vpcs": "VPC1=blue"}, "VPC1 is not a valid VPC name"),
        ({"vpcs": "vpc1=a b"}, "a b is not a valid network name"),
        ({"vpcs": "vpc1=blue,vpc1=red"}, "lists vpc1 more than once"),
        ({"vpcs": "vpc1=blue,vpc2=blue"}, "lists network blue for two VPCs"),
        ({"vpcs": "ovn-cluster=blue"}, "lists the default VPC ovn-cluster"),
        ({"accept": " "}, "accept = ' ': is empty; write a value, or remove the key"),
        ({"accept": "az2"}, "must be a mapping of zones"),
        ({"accept": "{1: []}"}, "accept.1: is not a zone name; put it in quotes"),
        ({"accept": "*: []"}, "is not valid YAML in line 1: did not find expected alphabetic"),
        ({"accept": "*: []"}, 'put "*" in quotes'),
        ({"accept": "az2: []\naz2: []"}, "line 2: duplicate key 'az2'"),
        ({"accept": "az2: all"}, "accept.az2 = 'all': must be a list of prefixes or a mapping"),
        ({"accept": "az2: [10.0.0.0]"}, "accept.az2[0] = '10.0.0.0': has no prefix length"),
        ({"accept": "az2: [10.0.0.1/8]"}, "has host bits set; write 10.0.0.0/8"),
        ({"accept": "az2: [x]"}, "accept.az2[0] = 'x': is not a valid prefix"),
        ({"accept": "az2: {prefix: []}"}, "accept.az2.prefix: is not a known key; write prefixes"),
        ({"accept": "az2: {prefixes: x}"}, "accept.az2.prefixes = 'x': must be a list"),
        ({"accept": "az2: {max: -1}"}, "accept.az2.max = '-1': is not a number of prefixes"),
        ({"accept": "az2: {max: true}"}, "accept.az2.max = 'True': is not a number"),
        ({"accept": "az2: {default-route: 1}"}, "accept.az2.default-route = '1': must be true"),
        ({"advertise": "10.0.0.0/8, y"}, "advertise[1] = 'y': is not a valid prefix"),
        ({"advertise": "{a: 1}"}, "advertise = '{a: 1}': must be a list of prefixes"),
        ({"routes": "az2"}, "routes = 'az2': must be a list of routes"),
        ({"routes": "[az2]"}, "routes[0] = 'az2': must be a mapping"),
        ({"routes": "[{zone: az2}]"}, "routes[0].prefix: is missing"),
        ({"routes": "[{prefix: 10.0.0.0/8}]"}, "routes[0].zone: is missing"),
        ({"routes": "[{prefix: 10.0.0.0/8, zone: 2}]"}, "routes[0].zone = '2': must be a string"),
        ({"routes": "[{prefix: 10.0.0.0/8, zone: [x]}]"}, "zone = 'a list of 1': must be a string"),
        ({"routes": "[{prefix: 10.0.0.0/8, zone: az1}]"}, "is this cluster's own az-name"),
        ({"routes": "[{prefix: 10.0.0.0/8, zone: az2, vpc: v}]"}, "add v to vpcs"),
        (
            {"routes": "[{prefix: 10.0.0.0/8, zone: az2, via: ts}]"},
            "routes[0].via: is not a known key",
        ),
        ({"routes": "\n- &a {prefix: 10.0.0.0/8, zone: az2}\n- *a"}, "routes[1]: is a duplicate"),
        (
            {"ic_nb_port": None, "ic_nb_prot": "7"},
            "ic-nb-prot: is not a known key; write ic-nb-port",
        ),
    ],
)
def test_every_invalid_value_is_reported(changes: dict[str, Any], expected: str) -> None:
    """An invalid value makes the whole ConfigMap invalid, and the problem says what to write."""
    text = reported(**changes)
    assert expected in text
    assert text.startswith("ConfigMap kube-system/ovn-ic-config: data.")


def test_all_problems_are_reported_together() -> None:
    """All invalid values are reported together."""
    assert len(reported(az_name="", ic_nb_port="x", gw_nodes="").splitlines()) == 3


@pytest.mark.parametrize("data", [None, "text", ["az-name"]])
def test_data_that_is_not_a_mapping(data: Any) -> None:
    """A ConfigMap without usable data is invalid, and does not make the cluster leave."""
    result = parse(manifest("ConfigMap", "ovn-ic-config", data=data))
    assert isinstance(result, InvalidConfig)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"comment": "x"}, "data.comment: is not a known key, so it has no effect; remove it"),
        ({"gw_nodes": "gw,gw2,gw"}, "gw-nodes = 'gw': is listed more than once"),
        (
            {"auto_route": None},
            "auto-route: is missing, so routes are advertised and learned only if",
        ),
    ],
)
def test_unambiguous_mistakes_are_warnings(changes: dict[str, Any], expected: str) -> None:
    """Unambiguous mistakes are warnings, and the configuration is used."""
    result = parse(config_map(**changes))
    assert isinstance(result, JoinZone)
    assert [expected in str(problem) for problem in result.problems] == [True]


def test_our_own_keys_are_optional() -> None:
    """Without them everything except default routes is exchanged, with Kube-OVN's usual MTU."""
    config = parsed()
    assert (config.mtu, config.vpcs, config.rules, config.routes) == (1400, {}, RouteRules(), ())


def test_all_white_space_around_numbers_is_ignored() -> None:
    """Also of the kinds that `int` does not accept."""
    assert parsed(ic_nb_port="\x1f7645\x1c\n", mtu="\u20031500").mtu == 1500


def test_mtu_and_vpcs() -> None:
    """`mtu` is a number or off; `vpcs` lists VPCs with their networks."""
    assert parsed(mtu="8900").mtu == 8900
    assert parsed(mtu="off").mtu is None
    assert parsed(vpcs="vpc1=blue, vpc2 = green").vpcs == {"vpc1": "blue", "vpc2": "green"}


def test_route_rules() -> None:
    """Rules are lists or mappings, for listed zones, for all others, and for `advertise`."""
    rules = parsed(
        accept="""
            az2: [10.17.0.0/16, "fd00:17::/64", 10.17.0.0/16]
            az3: {max: 10, default-route: true}
            az4: {prefixes: []}
            "*": {prefixes: [10.0.0.0/8]}
        """,
        advertise="10.16.0.0/16, fd00:16::/64",
    ).rules
    ten, both = ip_network("10.0.0.0/8"), (ip_network("10.17.0.0/16"), ip_network("fd00:17::/64"))
    assert rules.of_zone("az2") == ZoneRule(both)
    assert rules.of_zone("az3") == ZoneRule(None, 10, default_route=True)
    assert rules.of_zone("az4") == ZoneRule(())
    assert rules.of_zone("az5") == ZoneRule((ten,))
    assert rules.advertise == (ip_network("10.16.0.0/16"), ip_network("fd00:16::/64"))
    assert parsed(advertise="[10.0.0.0/8]").rules.advertise == (ten,)
    assert parsed(advertise="[]").rules.advertise == ()
    assert parsed(advertise="10.0.0.0/8").rules.advertise == (ten,)


def test_declared_routes() -> None:
    """Declared routes may name the default VPC."""
    routes = parsed(
        vpcs="vpc1=blue",
        routes="""
            - {prefix: 10.17.0.0/16, zone: az2}
            - prefix: "::/0"
              zone: az2
              transit-switch: ts1
              vpc: ovn-cluster
            - {prefix: 10.17.0.0/16, zone: az2, vpc: vpc1}
        """,
    ).routes
    ten = ip_network("10.17.0.0/16")
    assert routes == (
        DeclaredRoute(ten, "az2"),
        DeclaredRoute(ip_network("::/0"), "az2", "ts1"),
        DeclaredRoute(ten, "az2", vpc="vpc1"),
    )


def test_all_faults_of_a_value_are_reported_together() -> None:
    """All faults within one value are reported together."""
    assert len(reported(routes="[{}, {prefix: x, zone: ''}]").splitlines()) == 4


def test_duplicate_gateways_count_once() -> None:
    """The first position of a node counts."""
    assert parsed(gw_nodes="b,a,b").gateways == ("b", "a")

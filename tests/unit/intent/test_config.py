"""The ConfigMap: what each key means, and how each bad value is named."""

from pathlib import Path
from typing import Any

import pytest

from isthmus.intent.config import Config, Invalid, Join, Leave, parse_config
from isthmus.sources.documents import read_documents
from support.site import config_map, manifest

EXAMPLES = Path(__file__).parents[3] / "examples" / "manifests"


def parsed(**changes: Any) -> Config:
    """The configuration from a ConfigMap that must be good."""
    result = parse_config(config_map(**changes))
    assert isinstance(result, Join), result
    return result.config


def reported(**changes: Any) -> str:
    """What is wrong with a ConfigMap that must be bad."""
    result = parse_config(config_map(**changes))
    assert isinstance(result, Invalid), result
    return "\n".join(map(str, result.problems))


def test_the_documents_config_map() -> None:
    """The ConfigMap of Kube-OVN's guide, as printed there."""
    content = (EXAMPLES / "ovn-ic-config.yaml").read_bytes()
    (written,) = read_documents("ovn-ic-config.yaml", content).manifests.values()
    config = Config("az1", ("192.168.65.3",), 6645, 6646, ("az1-gw",), True)
    assert parse_config(written) == Join(config)
    assert config.ic_nb_remote == "tcp:192.168.65.3:6645"
    assert config.ic_sb_remote == "tcp:192.168.65.3:6646"


def test_lists_and_defaults() -> None:
    """Lists tolerate blanks, addresses of both families are written right, ports have defaults."""
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


def test_a_zone_name_may_hold_hyphens() -> None:
    """Names are never taken apart, so they may look like anything."""
    assert parsed(az_name="az-1-ts").zone == "az-1-ts"


def test_disabled_is_leave_whatever_else_is_wrong() -> None:
    """Leaving must always be possible."""
    result = parse_config(config_map(enable_ic="false", az_name="", ic_nb_port="x", zz="1"))
    assert result == Leave('enable-ic is "false"')


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
        ({"az_name": "az 1"}, "az-name = 'az 1': holds white space"),
        ({"az_name": 1}, 'put it in quotes: "1"'),
        ({"ic_db_host": None}, "ic-db-host: is missing"),
        ({"ic_db_host": " "}, "ic-db-host = ' ': is empty"),
        ({"ic_db_host": "10.0.0.1,,10.0.0.2"}, "has a comma too many"),
        ({"ic_db_host": "10.0.0.300"}, "10.0.0.300 is neither an IP address nor a host name"),
        ({"ic_db_host": "10.0.0.1:6645"}, "leave the port out"),
        ({"ic_db_host": "fe80::1%eth0"}, "has a scope"),
        ({"ic_db_host": "tcp:x"}, "neither an IP address nor a host name"),
        ({"ic_nb_port": "http"}, "ic-nb-port = 'http': is no TCP port; write a number"),
        ({"ic_sb_port": "0"}, "ic-sb-port = '0'"),
        ({"ic_sb_port": "65536"}, "ic-sb-port = '65536'"),
        ({"ic_nb_port": "٦٦"}, "is no TCP port"),
        ({"ic_nb_port": "9" * 5000}, "is no TCP port"),
        ({"ic_nb_port": 6645}, 'put it in quotes: "6645"'),
        ({"gw_nodes": None}, "gw-nodes: is missing"),
        ({"gw_nodes": ""}, "gw-nodes: is empty"),
        ({"gw_nodes": "gw1;gw2"}, "gw1;gw2 cannot be the name of a node"),
        ({"gw_nodes": ",".join(f"gw{i}" for i in range(101))}, "more than 100 nodes"),
        ({"gw_nodes": ["gw"]}, "gw-nodes = 'a list of 1': must be a string"),
        ({"auto_route": "on"}, "auto-route = 'on'"),
        ({"az_name": None, "az_nmae": "az1"}, "az-nmae: is not known; write az-name"),
        ({"az_name": None, "AZ_NAME": "az1"}, "write az-name"),
        ({"ic_nb_port": None, "ic_nb_prot": "7"}, "ic-nb-prot: is not known; write ic-nb-port"),
    ],
)
def test_every_bad_value_is_named(changes: dict[str, Any], expected: str) -> None:
    """A bad value makes the whole ConfigMap invalid; the problem says what to write."""
    text = reported(**changes)
    assert expected in text
    assert text.startswith("ConfigMap kube-system/ovn-ic-config: data.")


def test_all_problems_are_told_at_once() -> None:
    """Who mends one value should not find the next one only then."""
    assert len(reported(az_name="", ic_nb_port="x", gw_nodes="").splitlines()) == 3


@pytest.mark.parametrize("data", [None, "text", ["az-name"]])
def test_data_that_is_no_mapping(data: Any) -> None:
    """A ConfigMap without usable data is invalid, never a reason to leave."""
    result = parse_config(manifest("ConfigMap", "ovn-ic-config", data=data))
    assert isinstance(result, Invalid)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"comment": "x"}, "data.comment: is not known, so it has no effect; remove it"),
        ({"gw_nodes": "gw,gw2,gw"}, "gw-nodes = 'gw': is listed more than once"),
        ({"auto_route": None}, "auto-route: is missing, so no route is advertised or learned"),
    ],
)
def test_harmless_oddities_are_warnings(changes: dict[str, Any], expected: str) -> None:
    """What cannot be misunderstood is told, and the configuration is used."""
    result = parse_config(config_map(**changes))
    assert isinstance(result, Join)
    assert [expected in str(problem) for problem in result.problems] == [True]


def test_duplicate_gateways_count_once() -> None:
    """The first place of a node is its place."""
    assert parsed(gw_nodes="b,a,b").gateways == ("b", "a")

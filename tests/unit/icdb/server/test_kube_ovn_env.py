"""Kube-OVN's environment."""

import pytest

from isthmus.icdb.server.kube_ovn_env import ssl_disabled, transit_switches, without_effect
from isthmus.model.problems import Problem


def texts(**environment: str) -> list[str]:
    """The transit switches asked for, in the form of the flag."""
    specs, problems = transit_switches(environment)
    assert problems == []
    return [str(spec) for spec in specs]


def test_nothing_is_asked_for_without_variables() -> None:
    """Empty variables count as unset."""
    assert texts() == texts(TS_NUM="", TS_NAME="") == []


def test_kube_ovns_defaults() -> None:
    """Names and subnets are Kube-OVN's, for each protocol."""
    assert texts(TS_NUM="2") == ["ts=169.254.100.0/24", "ts1=169.254.101.0/24"]
    assert texts(PROTOCOL="ipv6", TS_NUM="2") == ["ts=fe80:a9fe:64::/112", "ts1=fe80:a9fe:65::/112"]
    assert texts(PROTOCOL="dual", TS_NAME="link") == ["link=169.254.100.0/24,fe80:a9fe:64::/112"]


def test_a_subnet_is_followed_by_others_of_its_size() -> None:
    """Each transit switch has a subnet of its own."""
    assert texts(TS_CIDR="10.9.0.0/23", TS_NUM="3") == [
        "ts=10.9.0.0/23",
        "ts1=10.9.2.0/23",
        "ts2=10.9.4.0/23",
    ]
    assert texts(TS_CIDR="10.9.0.0/24,fd00:9::/112", TS_NUM="2")[1] == (
        "ts1=10.9.1.0/24,fd00:9::1:0/112"
    )


def test_extra_commas_and_white_space_change_nothing() -> None:
    """As in a shell script, which splits at white space."""
    assert texts(TS_CIDR=" 10.9.0.0/24,\n", TS_NUM=" 1\n", TS_NAME=" ts ") == ["ts=10.9.0.0/24"]
    assert texts(TS_CIDR="10.9.0.0/24,,\nfd00:9::/112,", PROTOCOL=" Dual ") == [
        "ts=10.9.0.0/24,fd00:9::/112"
    ]


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"PROTOCOL": "ipx"}, "PROTOCOL"),
        ({"TS_NUM": "0"}, "TS_NUM"),
        ({"TS_NUM": "many"}, "TS_NUM"),
        ({"TS_CIDR": "10.9.0.1/24"}, "TS_CIDR"),
        ({"TS_CIDR": "10.9.0.0/24", "PROTOCOL": "dual"}, "TS_CIDR"),
        ({"TS_CIDR": "255.255.255.0/24", "TS_NUM": "2"}, "TS_CIDR"),
        ({"TS_NAME": "a b"}, "TS_NAME, TS_CIDR"),
    ],
)
def test_bad_values_are_named(environment: dict[str, str], key: str) -> None:
    """The problem names the variable, with a remedy."""
    _, [problem] = transit_switches(environment)
    assert problem.key == key
    assert problem.remedy


def test_variables_without_effect_are_named() -> None:
    """Each that is set is reported once, with the reason; empty and unknown ones are not."""
    environment = {
        "ENABLE_OVN_LEADER_CHECK": "true",
        "PROBE_INTERVAL": " ",
        "TS_NUM": "3",
        "X": "y",
    }
    (problem,) = without_effect(environment)
    assert (problem.key, problem.value) == ("ENABLE_OVN_LEADER_CHECK", "true")
    assert "supervised" in problem.message


def test_enable_ssl() -> None:
    """Only an explicit "false" asks for plain TCP."""
    assert ssl_disabled({"ENABLE_SSL": "False"}) is True
    assert ssl_disabled({"ENABLE_SSL": "true"}) is False
    assert ssl_disabled({}) is False
    assert isinstance(ssl_disabled({"ENABLE_SSL": "no"}), Problem)

"""What `isthmus ic-db run` and `authz` accept about zones."""

from ipaddress import ip_network

import pytest

from isthmus.cli.common.errors import CommandError
from isthmus.cli.ic_db.authz import PolicyOptions

OPTIONS = PolicyOptions(
    operator=["ops"],
    prefixes=["az1=10.16.0.0/16", "az1=10.26.0.0/16"],
    shared="10.96.0.0/12",
    quota=["az1=zone_routes:5"],
    gateways=["az3=gw3, gw4", "az3=gw5", "az4=gw6"],
    tunnels=["az3=192.0.2.0/28,192.0.2.77", "az4=fd00:3::/64"],
)


def test_options_of_a_zone_add_up() -> None:
    """An option may be repeated for one zone."""
    policy = OPTIONS.policy()
    assert policy.prefixes == {"az1": (ip_network("10.16.0.0/16"), ip_network("10.26.0.0/16"))}
    assert policy.shared == (ip_network("10.96.0.0/12"),)
    assert policy.quotas == {"az1": {"zone_routes": 5}}
    assert policy.gateways == {"az3": {"gw3", "gw4", "gw5"}, "az4": {"gw6"}}
    assert policy.tunnels == {
        "az3": (ip_network("192.0.2.0/28"), ip_network("192.0.2.77/32")),
        "az4": (ip_network("fd00:3::/64"),),
    }


def test_the_proxys_process_gets_all_options() -> None:
    """`run` passes on what it was given."""
    flags = OPTIONS.flags()
    assert "--operator=ops" in flags
    assert "--shared=10.96.0.0/12" in flags
    assert [flag for flag in flags if flag.startswith("--tunnels=az4")] == [
        "--tunnels=az4=fd00:3::/64"
    ]
    assert len(flags) == 10


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (PolicyOptions(prefixes=["10.0.0.0/8"]), "--prefixes"),
        (PolicyOptions(prefixes=["az1=10"]), "--prefixes"),
        (PolicyOptions(shared="x"), "--shared"),
        (PolicyOptions(quota=["az1=x:1"]), "--quota"),
        (PolicyOptions(gateways=["gw3"]), "--gateways"),
        (PolicyOptions(gateways=["=gw3"]), "--gateways"),
        (PolicyOptions(gateways=["az3=gw3,"]), "--gateways"),
        (PolicyOptions(tunnels=["192.0.2.1"]), "--tunnels"),
        (PolicyOptions(tunnels=["az3=gw3"]), "--tunnels"),
    ],
)
def test_wrong_values_are_named(options: PolicyOptions, key: str) -> None:
    """The error names the option and the value."""
    with pytest.raises(CommandError) as caught:
        options.policy()
    [problem] = caught.value.problems
    assert problem.key == key
    assert problem.value

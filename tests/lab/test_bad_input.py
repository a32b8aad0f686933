"""Bad input, one test per kind: it is reported, does no harm, and works once corrected.

"Reported" means: with object, key, value and remedy, in the log of the affected cluster.
"""

from collections.abc import Callable

import pytest

from isthmus_lab.lab import Lab
from isthmus_lab.topology.schema import Topology
from isthmus_lab.waiting import wait_until
from support.lab.joined import LIMIT_S, Joined, topology

pytestmark = pytest.mark.lab

CONFIG = "ConfigMap kube-system/ovn-ic-config"


def reports(joined: Joined, cluster: str, since: int, parts: tuple[str, ...]) -> bool:
    """Whether a warning with all these parts was logged."""
    lines = joined.cluster(cluster).isthmus_log()[since:].splitlines()
    return any("|WARNING|" in line and all(part in line for part in parts) for line in lines)


def check(joined: Joined, file: str, text: str, parts: tuple[str, ...]) -> None:
    """Write a bad manifest in az1, check that it is reported and harmless, then correct it."""
    handle = joined.cluster("az1")
    since, routes, daemon = len(handle.isthmus_log()), joined.learned("az2"), joined.daemon("az1")
    handle.manifests.write(file, text)
    joined.wait(lambda: reports(joined, "az1", since, parts), f"a report of {parts}")
    assert joined.all_answer()
    assert joined.learned("az2") == routes

    joined.reset()
    joined.wait(
        lambda: any(
            "resolved" in line and all(part in line for part in parts)
            for line in handle.isthmus_log()[since:].splitlines()
        ),
        f"{parts} to be resolved",
    )
    handle.manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    joined.wait(lambda: joined.learned("az2") == {"10.16.0.0/16"}, "a change after the correction")
    assert joined.daemon("az1") == daemon


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("  az-name: az1\n", "", ("data.az-name", "missing", "add")),
        ("gw-nodes:", "gwnodes:", ("data.gwnodes", "write gw-nodes")),
        ("enable-ic: 'true'", "enable-ic: 'True'", ("data.enable-ic", "'True'", 'write "true"')),
        ("az-name: az1", "az-name: ''", ("data.az-name", "empty", "choose a name")),
        ("az-name: az1", "az-name: az2", ("data.az-name", "'az2'", "another cluster", "choose")),
        ("gw-nodes: az1-gw", "gw-nodes: az1-gx", ("data.gw-nodes", "'az1-gx'", "write")),
        ("ic-nb-port: '6645'", "ic-nb-port: 66x5", ("data.ic-nb-port", "'66x5'", "1 to 65535")),
        ("ic-sb-port: '6646'", "ic-sb-port: '0'", ("data.ic-sb-port", "'0'", "1 to 65535")),
        ("auto-route: 'true'", "auto-route: 'on'", ("data.auto-route", "'on'", "write")),
    ],
    ids=[
        "missing-key",
        "misspelt-key",
        "enable-ic-True",
        "empty-az-name",
        "az-name-of-another-cluster",
        "unknown-gateway",
        "port-no-number",
        "port-zero",
        "auto-route-on",
    ],
)
def test_bad_value_in_the_config_map(
    joined: Joined, old: str, new: str, parts: tuple[str, ...]
) -> None:
    """A bad value in `ovn-ic-config` is reported, and the cluster stays joined."""
    file = joined.cluster("az1").manifests.path("ConfigMap", "ovn-ic-config")
    assert old in joined.good[file]
    check(joined, file.name, joined.good[file].replace(old, new), (CONFIG, *parts))


def test_unparsable_yaml(joined: Joined) -> None:
    """Invalid YAML is reported with its line, and the former contents stay in force."""
    file = joined.cluster("az1").manifests.path("ConfigMap", "ovn-ic-config")
    text = joined.good[file].replace("data:", "data: [")
    check(joined, file.name, text, (file.name, "line 5", "YAML"))


def test_half_written_file(joined: Joined) -> None:
    """A truncated file is reported, and no part of it is applied."""
    file = joined.cluster("az1").manifests.path("ConfigMap", "ovn-ic-config")
    text = joined.good[file]
    check(joined, file.name, text[: text.index("ic-db-host") + 6], (file.name, "YAML"))


def test_bad_cidr(joined: Joined) -> None:
    """An invalid CIDR of a subnet is reported, and the other subnets are not affected."""
    file = joined.cluster("az1").manifests.path("Subnet", "apps")
    text = joined.good[file].replace("10.26.0.0/16", "10.26.0.0/99")
    check(joined, file.name, text, ("Subnet apps", "spec.cidrBlock", "'10.26.0.0/99'", "write"))


def test_unreachable_databases(joined: Joined) -> None:
    """Unreachable IC databases are reported with their address, and traffic continues."""
    file = joined.cluster("az1").manifests.path("ConfigMap", "ovn-ic-config")
    text = joined.good[file].replace("192.168.65.3", "192.168.65.77")
    check(joined, file.name, text, ("OVN_IC_Southbound", "tcp:192.168.65.77:6646", "check"))


def test_full_transit_switch(make_lab: Callable[[Topology], Lab]) -> None:
    """A cluster without a free address reports that, and joins once the subnet is larger."""
    text = "transitSwitches: [{name: ts, cidr: 169.254.100.0/30}]\nclusters:\n"
    for number in (1, 2, 3):
        text += (
            f"  - name: az{number}\n"
            f"    nodes: [{{name: az{number}-gw, roles: [central, gateway]}}]\n"
            f"    pods: [{{name: az{number}-web, node: az{number}-gw}}]\n"
        )
    lab = make_lab(topology(text))
    logs = [lab.cluster(name).isthmus_log for name in ("az1", "az2", "az3")]
    parts = ("|WARNING|", "169.254.100.0/30", "no free address", "larger subnet")
    wait_until(
        lambda: any(
            all(part in line for part in parts) for log in logs for line in log().splitlines()
        ),
        LIMIT_S,
        "a report of the full subnet",
    )
    larger = 'external_ids:subnet="169.254.100.0/24"'
    lab.run("ic", ["ovn-ic-nbctl", "set", "Transit_Switch", "ts", larger])
    Joined.of(lab)

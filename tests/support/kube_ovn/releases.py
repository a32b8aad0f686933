"""What each release of Kube-OVN writes for OVN-IC, as values.

Facts are from the sources of each release: the controller's OVN-IC code for NB, and
`dist/images/start-ic-db.sh` (from 1.12 on also the IC server's Deployment) for IC-NB. Where a
release is silent in this table, it does what the one before it did.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

VENDOR: Mapping[str, str] = {"vendor": "kube-ovn"}

DEFAULT_SUBNETS = {"ipv4": "169.254.100.0/24", "ipv6": "fe80:a9fe:64::/112"}
"""The start script's default: the same for every TS_NAME."""


@dataclass(frozen=True, slots=True)
class Release:
    """The differences between releases.

    Args:
        version: as Kube-OVN numbers it, e.g. "1.8".
        transit_switches: how many a default deployment has.
        marks_transit_switch: whether IC-NB `Transit_Switch` has the vendor.
        subnet_on_ts_only: whether the subnet is written to the switch called `ts`, whatever
            TS_NAME says.
        router_port_ids, switch_port_ids: `external_ids` of our two ports; `{ts}` stands for the
            transit switch.
        rotates: whether the gateways' priorities are rotated by the transit switch's index.
        policy_origins: the `origin` of policies at 29500; empty if the release makes static
            routes instead of policies.
    """

    version: str
    transit_switches: int = 1
    marks_transit_switch: bool = False
    subnet_on_ts_only: bool = True
    router_port_ids: Mapping[str, str] = field(default_factory=dict)
    switch_port_ids: Mapping[str, str] = field(default_factory=lambda: VENDOR)
    rotates: bool = False
    policy_origins: tuple[str, ...] = ()

    def transit_switch_ids(self, name: str, index: int) -> dict[str, str]:
        """The `external_ids` of an IC-NB transit switch, as text for ovn-ic-nbctl."""
        if self.subnet_on_ts_only and name != "ts":
            return {}
        subnet = {"subnet": f"169.254.{100 + index}.0/24"}
        return {**subnet, **(VENDOR if self.marks_transit_switch else {})}

    def gateways(self, chassis: Sequence[str], index: int) -> dict[str, int]:
        """Priority by chassis, for the transit switch with this index."""
        shift = index % len(chassis) if self.rotates else 0
        rotated = [*chassis[shift:], *chassis[:shift]]
        return {name: 100 - place for place, name in enumerate(rotated)}

    def connection(
        self, zone: str, ts: str, index: int, address: str, router: str, chassis: Sequence[str]
    ) -> Iterator[list[str]]:
        """The ovn-nbctl commands that connect a router to a transit switch as the release does.

        Args:
            zone: `az-name`.
            ts, index: the transit switch and its number.
            address: of the router port, with its length.
            router: the default VPC's logical router.
            chassis: the gateways, most preferred first.
        """
        lrp, lsp = f"{zone}-{ts}", f"{ts}-{zone}"
        host = int(address.partition("/")[0].rpartition(".")[2])
        yield ["lrp-add", router, lrp, f"00:00:00:AA:{host:02X}:{index:02X}", address]
        yield from _set("Logical_Router_Port", lrp, self.router_port_ids, ts)
        for name, priority in self.gateways(chassis, index).items():
            yield ["lrp-set-gateway-chassis", lrp, name, str(priority)]
        yield ["lsp-add", ts, lsp]
        yield ["lsp-set-type", lsp, "router"]
        yield ["lsp-set-addresses", lsp, "router"]
        yield ["lsp-set-options", lsp, f"router-port={lrp}"]
        yield from _set("Logical_Switch_Port", lsp, self.switch_port_ids, ts)

    def policies(self, router: str, prefixes: Sequence[str]) -> Iterator[list[str]]:
        """The ovn-nbctl commands for the policies of learned prefixes of connected networks."""
        for number, prefix in enumerate(prefixes if self.policy_origins else ()):
            ids = ["external_ids:vendor=kube-ovn", "external_ids:origin=connected"]
            family = "ip6" if ":" in prefix else "ip4"
            yield [
                f"--id=@policy{number}",
                *("create", "Logical_Router_Policy", "priority=29500", "action=allow"),
                f'match="{family}.dst == {prefix}"',
                *ids,
            ]
            yield ["add", "Logical_Router", router, "policies", f"@policy{number}"]

    def subnet_gateways(self, router: str, gateways: Mapping[str, str]) -> Iterator[list[str]]:
        """The ovn-nbctl commands that turn a router's policies for subnets into the release's.

        Policies by source override learned routes unless there are policies at 29500. A release
        without these has static routes by source instead. Those of centralized subnets are as long
        as the subnet, and OVN prefers a route by destination with the same length. (Those of
        distributed subnets, one for each pod, are longer: OVN prefers them, and only Kube-OVN's own
        build of `ovn-northd` does not.)

        Args:
            router: the default VPC's logical router.
            gateways: the join address of the gateway node, by the CIDR of each subnet.
        """
        if not self.policy_origins:
            yield ["lr-policy-del", router, "29000"]
            for cidr, address in gateways.items():
                yield ["--policy=src-ip", "lr-route-add", router, cidr, address]


def _set(table: str, name: str, ids: Mapping[str, str], ts: str) -> Iterator[list[str]]:
    if ids:
        pairs = [f"external_ids:{key}={value.format(ts=ts)}" for key, value in ids.items()]
        yield ["set", table, name, *pairs]


_1_12_PORT = {"ls": "{ts}", **VENDOR}

RELEASES: Mapping[str, Release] = {
    release.version: release
    for release in (
        Release("1.8"),
        Release("1.9", policy_origins=("connected",)),
        Release("1.11", policy_origins=("connected", "static")),
        Release(
            "1.12",
            router_port_ids=VENDOR,
            switch_port_ids=_1_12_PORT,
            policy_origins=("connected", "static", ""),
        ),
        Release(
            "1.15",
            transit_switches=3,
            subnet_on_ts_only=False,
            router_port_ids=VENDOR,
            switch_port_ids=_1_12_PORT,
            rotates=True,
            policy_origins=("connected", "static", ""),
        ),
        Release(
            "1.16",
            transit_switches=3,
            marks_transit_switch=True,
            subnet_on_ts_only=False,
            router_port_ids=VENDOR,
            switch_port_ids=_1_12_PORT,
            rotates=True,
            policy_origins=("connected", "static", ""),
        ),
    )
}

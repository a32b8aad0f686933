"""The network of a lab: lines for `ip -batch`, one batch per namespace to save process starts.

Used by the starter and by tests that add machines. Only `ip_batch` and `disable_offload` change
anything; the other functions are pure.
"""

from collections.abc import Iterable, Iterator, Sequence

from isthmus_lab.system.processes import run
from isthmus_lab.topology.kube_ovn import ROUTER
from isthmus_lab.topology.layout import FABRIC, Layout
from isthmus_lab.topology.plan import MTU, ClusterPlan, Interface, NodePlan, PodPlan

UNDERLAY_BRIDGE = "br-ex"
"""The OVS bridge with the tunnel address of a node: userspace tunnels route through a bridge."""

UNDERLAY_LINK, JOIN_PORT, POD_LINK = "eth0", "ovn0", "eth0"
FABRIC_BRIDGE = "underlay"


def netns_batch(layout: Layout, hosts: list[str]) -> list[str]:
    """Create namespaces."""
    return [f"netns add {layout.netns(host)}" for host in hosts]


def fabric_batch() -> list[str]:
    """In the fabric: create the bridge."""
    # Without a querier, multicast snooping would drop the neighbour discovery of IPv6.
    return [
        f"link add {FABRIC_BRIDGE} type bridge mcast_snooping 0",
        f"link set {FABRIC_BRIDGE} addrgenmode none",
        f"link set {FABRIC_BRIDGE} up",
        "link set lo up",
    ]


def uplink(layout: Layout, host: str, fabric_link: str) -> str:
    """Create the link from a machine to the fabric."""
    return (
        f"link add {UNDERLAY_LINK} netns {layout.netns(host)} type veth"
        f" peer name {fabric_link} netns {layout.netns(FABRIC)}"
    )


def plug_batch(fabric_link: str) -> list[str]:
    """In the fabric: add a link to the bridge."""
    return [
        f"link set {fabric_link} addrgenmode none",
        f"link set {fabric_link} master {FABRIC_BRIDGE} up",
    ]


def pod_links(layout: Layout, node: NodePlan) -> Iterator[str]:
    """Create the links of the pods of a node."""
    for pod in node.pods:
        yield (
            f"link add {POD_LINK} netns {layout.netns(pod.name)} mtu {MTU} address {pod.mac}"
            f" type veth peer name {pod.host_link} netns {layout.netns(node.name)} mtu {MTU}"
        )


def machine_batch(link: str, addresses: tuple[Interface, ...]) -> list[str]:
    """In a machine: add addresses to an existing link."""
    lines = ["link set lo up", f"link set {link} addrgenmode none"]
    # Addresses are unique; duplicate address detection would take a second.
    nodad = {4: "", 6: " nodad"}
    lines += [f"addr add {address} dev {link}{nodad[address.version]}" for address in addresses]
    return [*lines, f"link set {link} up"]


def pod_batch(pod: PodPlan) -> list[str]:
    """In a pod: add addresses and default routes."""
    routes = [f"route add default via {gateway} dev {POD_LINK}" for gateway in pod.gateways]
    return [*machine_batch(POD_LINK, pod.addresses), *routes]


def node_links_batch(node: NodePlan) -> list[str]:
    """In a node, before Open vSwitch starts: enable the links."""
    links = [UNDERLAY_LINK, *(pod.host_link for pod in node.pods)]
    lines = ["link set lo up"]
    for link in links:
        lines += [f"link set {link} addrgenmode none", f"link set {link} up"]
    return lines


def node_addresses_batch(cluster: ClusterPlan, node: NodePlan) -> list[str]:
    """In a node, once its bridges exist: add addresses and routes."""
    lines = [
        *machine_batch(UNDERLAY_BRIDGE, node.underlay)[1:],
        *machine_batch(JOIN_PORT, node.join)[1:],
    ]
    gateways = {gateway.version: gateway.ip for gateway in cluster.join.gateways}
    for subnet in cluster.subnets:
        if subnet.router == ROUTER:
            lines += [
                f"route add {network} via {gateways[network.version]} dev {JOIN_PORT}"
                for network in subnet.cidr
            ]
    return lines


def links_of(node: NodePlan) -> list[str]:
    """The links of a node on which checksum offload must be disabled."""
    return [UNDERLAY_LINK, UNDERLAY_BRIDGE, JOIN_PORT, *(pod.host_link for pod in node.pods)]


def ip_batch(lines: Sequence[str], netns: str | None = None) -> None:
    """Run `ip -batch` with some lines. Raises: LabError, with the failed line."""
    if lines:
        run(["ip", "-batch", "-"], netns=netns, stdin="\n".join(lines) + "\n")


def disable_offload(netns: str, links: Iterable[str]) -> None:
    """Let the kernel compute checksums: userspace switches forward packets without them."""
    for link in links:
        run(["ethtool", "-K", link, "tx", "off"], netns=netns)

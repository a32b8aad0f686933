"""What Kube-OVN writes: rows of the NB database, and Kubernetes objects. Pure.

Used by the code that builds labs. Names, priorities and matches are those of Kube-OVN. The
policies with priority 29000 matter most: they send all traffic that leaves a subnet to the nodes,
even if there is a learned route. Isthmus adds policies with a higher priority for learned routes.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from isthmus_lab.topology.plan import (
    IC_NB_PORT,
    IC_SB_PORT,
    Address,
    ClusterPlan,
    LabPlan,
    NodePlan,
    SubnetPlan,
)
from isthmus_lab.topology.schema import Network

NAMESPACE = "kube-system"
"""The namespace of Kube-OVN's ConfigMaps."""

ROUTER = "ovn-cluster"
"""The router of the default VPC."""

SUBNET_POLICY, NODE_POLICY, GATEWAY_POLICY = 31000, 30000, 29000
"""Policy priorities: traffic to a local subnet, to a node, out of a subnet."""

_VENDOR = "external_ids:vendor=kube-ovn"


def nb_commands(cluster: ClusterPlan) -> list[str]:
    """Arguments for a single ovn-nbctl call that fills a new NB database."""
    commands: list[list[str]] = [["set", "NB_Global", ".", "options:use_logical_dp_groups=true"]]
    subnets = (cluster.join, *cluster.subnets)
    for router in dict.fromkeys(subnet.router for subnet in subnets):
        commands += [["lr-add", router], ["set", "Logical_Router", router, _VENDOR]]
    for subnet in subnets:
        commands += _switch(subnet)
    for node in cluster.nodes:
        commands += _port(
            cluster.join.name, f"node-{node.name}", node.join_mac, (i.ip for i in node.join)
        )
    for pod in cluster.pods:
        commands += _port(pod.subnet, pod.port, pod.mac, (i.ip for i in pod.addresses))
        commands.append(
            ["set", "Logical_Switch_Port", pod.port, f"external_ids:pod={pod.namespace}/{pod.name}"]
        )
    commands += _port_groups(cluster)
    for gateway in cluster.join.gateways:
        everything = "0.0.0.0/0" if gateway.version == 4 else "::/0"
        commands.append(["lr-route-add", ROUTER, everything, str(gateway.ip)])
    commands += _policy_commands(cluster)
    return [word for command in commands for word in ("--", *command)][1:]


def _switch(subnet: SubnetPlan) -> Iterator[list[str]]:
    switch, port = subnet.name, f"{subnet.name}-{subnet.router}"
    router_port = f"{subnet.router}-{subnet.name}"
    networks = [str(interface) for interface in subnet.gateways]
    yield ["ls-add", switch]
    yield ["set", "Logical_Switch", switch, _VENDOR]
    yield ["lrp-add", subnet.router, router_port, subnet.mac, *networks]
    yield ["set", "Logical_Router_Port", router_port, _VENDOR]
    yield ["lsp-add", switch, port]
    yield ["lsp-set-type", port, "router"]
    yield ["lsp-set-addresses", port, "router"]
    yield ["lsp-set-options", port, f"router-port={router_port}"]
    yield ["set", "Logical_Switch_Port", port, _VENDOR, f"external_ids:ls={switch}"]


def _port(switch: str, port: str, mac: str, addresses: Iterable[Address]) -> Iterator[list[str]]:
    both = " ".join([mac, *map(str, addresses)])
    yield ["lsp-add", switch, port]
    yield ["lsp-set-addresses", port, both]
    yield ["lsp-set-port-security", port, both]
    yield ["set", "Logical_Switch_Port", port, _VENDOR, f"external_ids:ls={switch}"]


def _group(subnet: str, node: str) -> str:
    # OVN names address sets after port groups; their names must not contain '-'.
    return f"{subnet}.{node}".replace("-", ".")


def _port_groups(cluster: ClusterPlan) -> Iterator[list[str]]:
    for subnet in cluster.subnets:
        for node in cluster.nodes:
            ports = [pod.port for pod in node.pods if pod.subnet == subnet.name]
            yield ["pg-add", _group(subnet.name, node.name), *ports]


_Policy: TypeAlias = tuple[int, str, Address | None]
"""A router policy: priority, match, and the next hop of `reroute`, or None for `allow`."""


def _policy_commands(cluster: ClusterPlan) -> Iterator[list[str]]:
    for number, (priority, match, via) in enumerate(_policies(cluster)):
        what = ["action=reroute", f'nexthops="{via}"'] if via else ["action=allow"]
        yield [
            f"--id=@policy{number}",
            *("create", "Logical_Router_Policy", f"priority={priority}"),
            *(f'match="{match}"', *what, _VENDOR.replace(":vendor", "=vendor")),
        ]
        yield ["add", "Logical_Router", ROUTER, "policies", f"@policy{number}"]


def _policies(cluster: ClusterPlan) -> Iterator[_Policy]:
    default = [subnet for subnet in cluster.subnets if subnet.router == ROUTER]
    for subnet in (cluster.join, *default):
        for network in subnet.cidr:
            yield SUBNET_POLICY, f"ip{network.version}.dst == {network}", None
    for node in cluster.nodes:
        for own in node.underlay:
            for via in node.join:
                if via.version == own.version:
                    yield NODE_POLICY, f"ip{own.version}.dst == {own.ip}", via.ip
    for subnet in default:
        yield from _gateway_policies(cluster, subnet)


def _gateway_policies(cluster: ClusterPlan, subnet: SubnetPlan) -> Iterator[_Policy]:
    """Policies for traffic out of a subnet: through the pod's node, or through one central node."""
    for network in subnet.cidr:
        family = f"ip{network.version}"
        if subnet.centralized:
            via = _join_address(cluster.central, network)
            yield GATEWAY_POLICY, f"{family}.src == {network}", via
            continue
        for node in cluster.nodes:
            addresses = f"${_group(subnet.name, node.name)}_{family}"
            via = _join_address(node, network)
            yield GATEWAY_POLICY, f"{family}.src == {addresses}", via


def _join_address(node: NodePlan, network: Network) -> Address:
    return next(i.ip for i in node.join if i.version == network.version)


def config_map(lab: LabPlan, cluster: ClusterPlan) -> dict[str, Any]:
    """The ConfigMap `ovn-ic-config` that joins the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ovn-ic-config", "namespace": NAMESPACE},
        "data": {
            "enable-ic": "true",
            "az-name": cluster.az_name,
            "ic-db-host": ",".join(str(member.address) for member in lab.ic_members),
            "ic-nb-port": str(IC_NB_PORT),
            "ic-sb-port": str(IC_SB_PORT),
            "gw-nodes": ",".join(cluster.gateways),
            "auto-route": "true" if cluster.auto_route else "false",
        },
    }


def objects(cluster: ClusterPlan) -> Iterator[dict[str, Any]]:
    """The cluster's Node and Subnet objects."""
    for node in cluster.nodes:
        addresses = [{"type": "InternalIP", "address": str(i.ip)} for i in node.underlay]
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name},
            "status": {
                "addresses": [*addresses, {"type": "Hostname", "address": node.name}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "Lab"}],
            },
        }
    for subnet in (cluster.join, *cluster.subnets):
        yield {
            "apiVersion": "kubeovn.io/v1",
            "kind": "Subnet",
            "metadata": {"name": subnet.name},
            "spec": {
                "cidrBlock": ",".join(map(str, subnet.cidr)),
                "vpc": subnet.router,
                "gatewayType": "centralized" if subnet.centralized else "distributed",
                "disableInterConnection": subnet.disable_inter_connection,
            },
        }

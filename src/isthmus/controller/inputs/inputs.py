"""The inputs in force: the valid objects of all snapshots so far.

The daemon passes every snapshot of its source to `Inputs.update`, and marks the keys that the
reconcilers derive from the returned `Changed`. Invariant: an object that is not valid changes
nothing, and its last valid form stays in force; an object counts as deleted only if it is missing
from a complete snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import chain

from isthmus.controller.config.configmap import (
    Config,
    ConfigKey,
    InvalidConfig,
    JoinZone,
    LeaveZone,
    changed_keys,
    parse_config,
)
from isthmus.controller.inputs.nodes import Node, parse_node
from isthmus.controller.inputs.objects import Objects, changed_names, read_objects, valid
from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.controller.inputs.subnets import (
    Subnet,
    parse_subnet,
    shared_prefixes,
    with_join_subnets,
)
from isthmus.model.prefixes import Network
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

DEFAULT_VPC = "ovn-cluster"
"""Kube-OVN's default VPC, and the name of its logical router."""

CONFIG_MAP = ObjectKey("ConfigMap", "kube-system", "ovn-ic-config")

_NOT_READ = (
    "not everything could be read",
    "fix what cannot be read, or create the ConfigMap with enable-ic",
    Reason.NOT_READ,
)
_LOST = (
    "so were all other objects when Isthmus started",
    'restore the objects; to leave the interconnection, create it with enable-ic: "false"',
    Reason.OBJECTS_LOST,
)
"""Why a missing ConfigMap does not mean leaving, the remedy, and the reason."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What an update changed.

    Args:
        config_keys: the keys of the ConfigMap whose values in force changed; all of them if the
            cluster started or stopped taking part.
        vpcs: the names of the VPCs that started or stopped taking part.
        private: the private prefixes of a VPC, or whether all of them are known.
        local: the prefixes of Subnets, whether private or not, or the addresses of Nodes.
        nodes: the names of the Nodes that were added, removed or changed.
        node_list: whether all Nodes are known.
        vpc_objects: which Vpc objects exist.
    """

    config_keys: frozenset[ConfigKey] = frozenset()
    vpcs: frozenset[str] = frozenset()
    private: bool = False
    local: bool = False
    nodes: frozenset[str] = frozenset()
    node_list: bool = False
    vpc_objects: bool = False

    @property
    def taking_part(self) -> bool:
        """Whether the cluster started or stopped taking part."""
        return ConfigKey.ENABLE_IC in self.config_keys

    def any_of(self, *keys: ConfigKey) -> bool:
        """Whether one of these keys of the ConfigMap changed."""
        return not self.config_keys.isdisjoint(keys)


class Inputs:
    """The inputs in force.

    Args:
        config_map: the identity of the configuration's ConfigMap.
        vpc: the default VPC, which takes part without being listed in `vpcs`.
        tls: whether the IC databases are reached by TLS.
        port_lists: whether the exchange engine applies deny lists of router ports; `ovn-ic` does
            from 26.03 on.

    Attributes:
        wanted: whether to take part, and how; None while no valid ConfigMap has been read: then
            nothing may be changed.
        last_config: the last configuration, also while leaving; None if none has been read.
        manifest: the ConfigMap that `wanted` was read from; None if there is none.
        refused: whether the present ConfigMap is not valid.
        lost: whether the source of a cluster that has joined had no object at all at the start, and
            has no ConfigMap yet. No one deletes all Nodes, so this does not mean leaving.
        complete: whether everything has been read at least once, and is not lost; if not, there may
            be unknown private prefixes.
        subnets, nodes: by name. The join subnet, which is never exchanged, is disabled here, and
            also known without a manifest if Nodes name it.
        node_prefixes: the addresses of each Node, as prefixes of one address each.
        node_addresses: those of all Nodes.
        vpc_objects: the names of the Vpc objects.
        problems: all problems of the inputs.
    """

    def __init__(
        self,
        config_map: ObjectKey = CONFIG_MAP,
        vpc: str = DEFAULT_VPC,
        *,
        tls: bool = False,
        port_lists: bool = True,
    ) -> None:
        self.config_map = config_map
        self.vpc = vpc
        self.port_lists = port_lists
        self._tls = tls
        self.wanted: JoinZone | LeaveZone | None = None
        self.last_config: Config | None = None
        self.manifest: Manifest | None = None
        self.refused = False
        self.lost = False
        self.complete = False
        self.subnets: Mapping[str, Subnet] = {}
        self.nodes: Mapping[str, Node] = {}
        self.vpc_objects: frozenset[str] = frozenset()
        self.problems: tuple[Problem, ...] = ()
        self._read_subnets: Objects[Subnet] = {}
        self._read_nodes: Objects[Node] = {}
        # There may be thousands of Nodes, and every reconciled router port needs these.
        self.node_prefixes: Mapping[str, tuple[Network, ...]] = {}
        self.node_addresses: frozenset[Network] = frozenset()
        self._private_prefixes: dict[str, frozenset[Network]] = {}

    @property
    def config(self) -> Config | None:
        """The configuration in force; None unless this cluster takes part."""
        return self.wanted.config if isinstance(self.wanted, JoinZone) else None

    @property
    def leaving(self) -> bool:
        """Whether everything of the interconnection must be removed."""
        return isinstance(self.wanted, LeaveZone)

    @property
    def vpcs(self) -> tuple[str, ...]:
        """The VPCs that take part, the default VPC first."""
        return () if self.config is None else (self.vpc, *self.config.vpcs)

    def vpc_in(self, network: str) -> str | None:
        """The VPC that takes part in a network; None if none does.

        Args:
            network: its name; empty for the network of all default VPCs.
        """
        if not network:
            return self.vpc
        vpcs = self.config.vpcs if self.config is not None else {}
        return next((vpc for vpc, name in vpcs.items() if name == network), None)

    def update(self, snapshot: Snapshot, *, joined: bool = False) -> Changed:
        """Take over the valid objects of a snapshot, and return what changed.

        Args:
            snapshot: of all objects.
            joined: whether this cluster has joined.
        """
        wanted, subnets, nodes = self.wanted, self.subnets, self.nodes
        vpcs, vpc_objects = self.vpcs, self.vpc_objects
        private, addresses = self._private(), self.node_addresses
        all_nodes_known = self.all_nodes_known
        problems = list(snapshot.problems)
        known = self.wanted is not None or self.complete
        # What is missing from NB later does not show that the objects were not lost.
        joined = joined or self.lost
        self.lost = (
            (joined and snapshot.complete and not known)
            and (self.lost or not snapshot.objects)
            and self.config_map not in snapshot.objects
        )
        self.complete = snapshot.complete and not self.lost
        self.wanted = self._read_config(snapshot, problems)
        self.last_config = (self.wanted and self.wanted.config) or self.last_config
        found = snapshot.of_kind("Subnet")
        self._read_subnets = read_objects(found, self._read_subnets, parse_subnet, problems)
        found = snapshot.of_kind("Node")
        self._read_nodes = read_objects(found, self._read_nodes, parse_node, problems)
        self.nodes = valid(self._read_nodes)
        self.subnets = with_join_subnets(valid(self._read_subnets), self.nodes.values())
        changed_nodes = changed_names(nodes, self.nodes)
        if changed_nodes:
            self._take_addresses(nodes)
        self._private_prefixes = {}
        self.vpc_objects = frozenset(m.key.name for m in snapshot.of_kind("Vpc"))
        problems += shared_prefixes(self.subnets.values(), self.vpc)
        self.problems = tuple(problems)
        return Changed(
            config_keys=changed_keys(wanted, self.wanted),
            vpcs=frozenset(vpcs).symmetric_difference(self.vpcs),
            private=private != self._private(),
            local=subnets != self.subnets or addresses != self.node_addresses,
            nodes=changed_nodes,
            node_list=all_nodes_known != self.all_nodes_known,
            vpc_objects=vpc_objects != self.vpc_objects,
        )

    @property
    def all_nodes_known(self) -> bool:
        """Whether a Node that is not in `nodes` does not exist.

        Without any Node, the source most likely has no Nodes at all (files written by hand).
        """
        return self.complete and bool(self.nodes)

    def private_prefixes(self, vpc: str) -> frozenset[Network]:
        """The prefixes that a VPC must neither advertise nor learn.

        These are the CIDRs of its Subnets with `disableInterConnection`, and of the join subnet.
        The default VPC also has the addresses of Nodes (Kube-OVN adds host routes for them to its
        router).
        """
        known = self._private_prefixes.get(vpc)
        if known is not None:
            return known
        subnets = frozenset(
            prefix
            for subnet in self.subnets.values()
            if subnet.disabled and (subnet.vpc or self.vpc) == vpc
            for prefix in subnet.prefixes
        )
        found = subnets | self.node_addresses if vpc == self.vpc else subnets
        return self._private_prefixes.setdefault(vpc, found)

    def _take_addresses(self, before: Mapping[str, Node]) -> None:
        known = self.node_prefixes
        self.node_prefixes = {
            name: known[name]
            if before.get(name) is node
            else tuple(ip_network(address) for address in node.addresses)
            for name, node in self.nodes.items()
        }
        self.node_addresses = frozenset(chain.from_iterable(self.node_prefixes.values()))

    def _private(self) -> tuple[object, ...]:
        """Everything that private prefixes depend on, to be compared."""
        vpcs = self.vpcs or (self.vpc,)
        return self.complete, [self.private_prefixes(vpc) for vpc in vpcs]

    def _read_config(
        self, snapshot: Snapshot, problems: list[Problem]
    ) -> JoinZone | LeaveZone | None:
        manifest = snapshot.objects.get(self.config_map)
        if manifest is None:
            if self.complete:
                self.manifest, self.refused = None, False
                return LeaveZone(f"there is no {self.config_map}")
            if self.lost or not snapshot.problems:  # otherwise it is a symptom of those
                why, remedy, reason = _LOST if self.lost else _NOT_READ
                message = f"is missing, but {why}, so nothing is changed"
                subject = Subject(str(self.config_map))
                problems.append(subject.problem(message, remedy, reason))
            return self.wanted
        parsed = parse_config(str(manifest.key), manifest.body.get("data"), self.vpc)
        problems += parsed.problems
        self.refused = isinstance(parsed, InvalidConfig)
        if isinstance(parsed, InvalidConfig):
            return self.wanted
        self.manifest = manifest
        if isinstance(parsed, JoinZone):
            return JoinZone(replace(parsed.config, tls=self._tls), parsed.problems)
        if parsed.config is None:
            return parsed
        return replace(parsed, config=replace(parsed.config, tls=self._tls))

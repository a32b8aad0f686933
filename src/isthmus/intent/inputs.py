"""The inputs in force: what the reconcilers take as given.

The daemon feeds `Inputs.update` with every snapshot of its source and has the reconcilers look
again at what changed. Invariant: a bad or unreadable object changes nothing; what was last read
well stays in force, and absence counts only in a complete snapshot.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Protocol, TypeVar

from isthmus.intent.config import Config, Invalid, Join, Leave, parse_config
from isthmus.intent.nodes import Node, parse_node
from isthmus.intent.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.intent.spelling import meant
from isthmus.intent.subnets import Subnet, parse_subnet
from isthmus.model.prefixes import Network
from isthmus.model.problems import Problem

DEFAULT_VPC = "ovn-cluster"
"""Kube-OVN's default VPC, and the name of its logical router."""

JOIN_SUBNET = "join"
"""The subnet between Kube-OVN's nodes and its router; it is nobody else's business."""

CONFIG_MAP = ObjectKey("ConfigMap", "kube-system", "ovn-ic-config")


@dataclass(frozen=True, slots=True)
class Changed:
    """What an update changed.

    Args:
        config: joining or leaving, or any value of the configuration.
        private: the prefixes that must not be advertised or learned.
        nodes: the nodes.
    """

    config: bool = False
    private: bool = False
    nodes: bool = False


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


class Inputs:
    """The inputs in force.

    Args:
        config_map: the ConfigMap to obey.
        vpc: the VPC whose logical router is connected.

    Attributes:
        wanted: what the operator asks for; None as long as that is not known (nothing valid has
            been read yet): then nothing may be changed.
        complete: whether everything has been read at least once; if not, there may be private
            prefixes that are not known.
    """

    def __init__(self, config_map: ObjectKey = CONFIG_MAP, vpc: str = DEFAULT_VPC) -> None:
        self.config_map = config_map
        self.vpc = vpc
        self.wanted: Join | Leave | None = None
        self.complete = False
        self.subnets: Mapping[str, Subnet] = {}
        self.nodes: Mapping[str, Node] = {}
        self._problems: tuple[Problem, ...] = ()

    @property
    def config(self) -> Config | None:
        """The configuration in force; None unless this cluster is to take part."""
        return self.wanted.config if isinstance(self.wanted, Join) else None

    @property
    def leaving(self) -> bool:
        """Whether nothing may be left behind."""
        return isinstance(self.wanted, Leave)

    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the inputs."""
        return self._problems

    def update(self, snapshot: Snapshot) -> Changed:
        """Take over a snapshot, as far as it is good; what changed by that."""
        before = (self.wanted, self.private_prefixes(), self.complete, self.nodes)
        problems = list(snapshot.problems)
        self.wanted = self._read_config(snapshot, problems)
        self.subnets = _read(snapshot.of_kind("Subnet"), self.subnets, parse_subnet, problems)
        self.nodes = _read(snapshot.of_kind("Node"), self.nodes, parse_node, problems)
        self.complete = snapshot.complete
        self._problems = tuple(problems)
        return Changed(
            config=before[0] != self.wanted,
            private=before[1:3] != (self.private_prefixes(), self.complete),
            nodes=before[3] != self.nodes,
        )

    def private_prefixes(self) -> frozenset[Network]:
        """What must not be advertised or learned.

        The CIDRs of the VPC's subnets with `disableInterConnection`, of the join subnet, and the
        nodes' own addresses (Kube-OVN puts host routes for them on its router).
        """
        return frozenset(
            prefix
            for subnet in self.subnets.values()
            if (subnet.disabled and subnet.vpc in {"", self.vpc}) or subnet.name == JOIN_SUBNET
            for prefix in subnet.prefixes
        ) | frozenset(
            ip_network(address) for node in self.nodes.values() for address in node.addresses
        )

    def _read_config(self, snapshot: Snapshot, problems: list[Problem]) -> Join | Leave | None:
        manifest = snapshot.objects.get(self.config_map)
        if manifest is None:
            problems += self._misnamed(snapshot)
            if snapshot.complete:
                return Leave(f"there is no {self.config_map}")
            problems.append(
                Problem(
                    str(self.config_map),
                    "",
                    "",
                    "is not there, but not everything could be read, so nothing is changed",
                    "mend what cannot be read, or add it with enable-ic",
                )
            )
            return self.wanted
        parsed = parse_config(manifest)
        problems += parsed.problems
        return self.wanted if isinstance(parsed, Invalid) else parsed

    def _misnamed(self, snapshot: Snapshot) -> Iterable[Problem]:
        wanted = self.config_map
        for manifest in snapshot.of_kind("ConfigMap"):
            key = manifest.key
            if meant(key.name, [wanted.name]) and key.namespace in {wanted.namespace, "default"}:
                yield Problem(
                    str(key),
                    "metadata.name" if key.name != wanted.name else "metadata.namespace",
                    key.name if key.name != wanted.name else key.namespace,
                    f"is not read, and {wanted} does not exist",
                    f"name it {wanted.name} in namespace {wanted.namespace}",
                )


def _read(
    manifests: Iterable[Manifest],
    last: Mapping[str, N],
    parse: Callable[[Manifest, N | None], tuple[N | None, tuple[Problem, ...]]],
    problems: list[Problem],
) -> Mapping[str, N]:
    """All objects of one kind; a broken one keeps its last good form and affects no other."""
    found: dict[str, N] = {}
    for manifest in manifests:
        item, wrong = parse(manifest, last.get(manifest.key.name))
        problems += wrong
        if item is not None:
            found[item.name] = item
    return found

"""Where the lab keeps its things and what they are called: namespaces, directories, sockets.

Used by everything in the lab. Invariant: the names of two labs never collide, and a lab's things
can be told from its name alone. Names of labs hold no '.', so one is never the prefix of another.
"""

import os
from dataclasses import dataclass
from pathlib import Path

TAG = "ISTHMUS_LAB"
"""Environment variable of every process of a lab: the lab's name."""

DAEMON_TAG = "ISTHMUS_LAB_DAEMON"
"""Environment variable of every daemon of a lab: "NODE/DAEMON"."""

STATE_VARIABLE = "ISTHMUS_LAB_STATE"
"""Environment variable that moves the directory of all labs."""

NETNS_DIR = Path("/run/netns")
"""Where `ip netns` keeps named namespaces (ip-netns(8))."""

FABRIC = "fabric"
"""The namespace with the bridge that all nodes hang on."""

IC = "ic"
"""The machine of the IC databases; of several, the first is "ic-1"."""


def state_base() -> Path:
    """The directory that holds the directories of all labs."""
    return Path(os.environ.get(STATE_VARIABLE) or "/run/isthmus-lab")


def netns_prefix(lab: str) -> str:
    """What the names of a lab's network namespaces start with."""
    return f"isthmus.{lab}."


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of one lab.

    Args:
        lab: its name.
        base: the directory of all labs.
    """

    lab: str
    base: Path

    @property
    def root(self) -> Path:
        """The lab's own directory: everything it writes is below."""
        return self.base / self.lab

    @property
    def topology(self) -> Path:
        """The topology as it was built, every default filled in."""
        return self.root / "topology.yaml"

    def netns(self, host: str) -> str:
        """The namespace of a node, a pod, `FABRIC` or a machine of the IC databases."""
        return netns_prefix(self.lab) + host

    def node(self, host: str) -> Path:
        """The directory of a node or of a machine of the IC databases."""
        return self.root / "nodes" / host

    def run(self, host: str) -> Path:
        """Sockets and pid files of a node."""
        return self.node(host) / "run"

    def db(self, host: str) -> Path:
        """Databases of a node."""
        return self.node(host) / "db"

    def logs(self, host: str) -> Path:
        """Logs of a node."""
        return self.node(host) / "log"

    def log(self, host: str, daemon: str) -> Path:
        """The log of one daemon."""
        return self.logs(host) / f"{daemon}.log"

    def manifests(self, cluster: str) -> Path:
        """The directory of manifests that stands for the cluster's Kubernetes API."""
        return self.root / "clusters" / cluster / "manifests"

    def kube(self, cluster: str) -> Path:
        """The directory of the cluster's API server, if it has one."""
        return self.root / "clusters" / cluster / "kube"

    def tls(self, owner: str) -> Path:
        """Key and certificates of a member of the IC databases, or of a cluster's Isthmus."""
        return self.root / "tls" / owner

    @property
    def authority(self) -> Path:
        """Who signs them."""
        return self.root / "tls" / "authority"

    def environment(self, host: str) -> dict[str, str]:
        """What makes the tools and daemons of OVS and OVN on a node use its own layout."""
        run, db, logs = map(str, (self.run(host), self.db(host), self.logs(host)))
        return {
            TAG: self.lab,
            "OVS_RUNDIR": run,
            "OVN_RUNDIR": run,
            "OVS_DBDIR": db,
            "OVN_DBDIR": db,
            "OVS_LOGDIR": logs,
            "OVN_LOGDIR": logs,
            "OVS_SYSCONFDIR": str(self.node(host) / "etc"),
        }

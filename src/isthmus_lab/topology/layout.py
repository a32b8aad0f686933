"""Names and paths of a lab: namespaces, directories, sockets, environment variables.

Used by all of the lab. Everything that belongs to a lab is named after it, so the name is enough to
find it. Names of two labs cannot collide: they contain no '.', so none is a prefix of another.
"""

import os
from dataclasses import dataclass
from pathlib import Path

TAG = "ISTHMUS_LAB"
"""Environment variable of all processes of a lab: the lab's name."""

DAEMON_TAG = "ISTHMUS_LAB_DAEMON"
"""Environment variable of all daemons of a lab: "NODE/DAEMON"."""

STATE_VARIABLE = "ISTHMUS_LAB_STATE"
"""Environment variable that sets the directory of all labs."""

NETNS_DIR = Path("/run/netns")
"""Directory of named network namespaces (ip-netns(8))."""

FABRIC = "fabric"
"""The namespace of the bridge that connects all nodes."""

IC = "ic"
"""The machine of the IC databases; "ic-1", "ic-2", … if there are several."""


def state_base() -> Path:
    """The directory that holds the directories of all labs."""
    return Path(os.environ.get(STATE_VARIABLE) or "/run/isthmus-lab")


def netns_prefix(lab: str) -> str:
    """The common prefix of the names of a lab's network namespaces."""
    return f"isthmus.{lab}."


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and paths of one lab.

    Args:
        lab: its name.
        base: the directory of all labs.
    """

    lab: str
    base: Path

    @property
    def root(self) -> Path:
        """The directory of the lab; it writes nowhere else."""
        return self.base / self.lab

    @property
    def topology(self) -> Path:
        """The topology as built, with all defaults filled in."""
        return self.root / "topology.yaml"

    def netns(self, host: str) -> str:
        """The namespace of a node, a pod, `FABRIC` or a machine of the IC databases."""
        return netns_prefix(self.lab) + host

    def node(self, host: str) -> Path:
        """The directory of a node or of a machine of the IC databases."""
        return self.root / "nodes" / host

    def run(self, host: str) -> Path:
        """Directory of sockets and PID files of a node."""
        return self.node(host) / "run"

    def db(self, host: str) -> Path:
        """Directory of databases of a node."""
        return self.node(host) / "db"

    def logs(self, host: str) -> Path:
        """Directory of logs of a node."""
        return self.node(host) / "log"

    def log(self, host: str, daemon: str) -> Path:
        """The log file of a daemon."""
        return self.logs(host) / f"{daemon}.log"

    def manifests(self, cluster: str) -> Path:
        """The directory of manifests that replaces the Kubernetes API of a cluster."""
        return self.root / "clusters" / cluster / "manifests"

    def kube(self, cluster: str) -> Path:
        """The directory of the API server of a cluster."""
        return self.root / "clusters" / cluster / "kube"

    def tls(self, owner: str) -> Path:
        """Keys and certificates of a member of the IC databases, or of Isthmus in a cluster."""
        return self.root / "tls" / owner

    @property
    def authority(self) -> Path:
        """The authorities that sign them."""
        return self.root / "tls" / "authority"

    def environment(self, host: str) -> dict[str, str]:
        """Variables that point tools and daemons of OVS and OVN to the directories of a node."""
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

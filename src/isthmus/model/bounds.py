"""Every bound on what comes from outside, in one table; docs/reference/bounds.md is made from it.

Code checks a value with `Bound.check` before it parses, copies or caches the value. The code that
catches `BoundExceededError` counts it under the name of the bound and reports a problem.
"""

from dataclasses import dataclass
from enum import StrEnum

from isthmus.model.text import counted


class Source(StrEnum):
    """Where a bounded value comes from; a section of the page each."""

    CONFIGURATION = "Configuration: the ConfigMap, manifests and files"
    KUBERNETES = "The Kubernetes API"
    DATABASES = "Databases: what servers send, and rows of other zones"
    PROXY = "The authorizing proxy: what one zone may send and store"
    FILES = "Files and backups"


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound, inclusive.

    Args:
        name: of its counter; words joined by underscores.
        source: where the values come from.
        most: the largest value that is accepted, if the operator sets no other.
        unit: in the singular, e.g. "byte".
        what: what is bounded, e.g. "the value of one key".
        beyond: what happens to a value above it.
        option: the flag or key that changes it; empty if there is none.
    """

    name: str
    source: Source
    most: int
    unit: str
    what: str
    beyond: str
    option: str = ""

    def check(self, found: int, most: int | None = None) -> None:
        """Accept a size or number.

        Args:
            found: the value's, in `unit`.
            most: what the operator has set in place of the default.

        Raises:
            BoundExceededError: it is above the bound.
        """
        if found > (limit := self.most if most is None else most):
            raise BoundExceededError(self, found, limit)

    def row(self) -> str:
        """The bound as a row of the page's table."""
        option = f"`{self.option}`" if self.option else ""
        limit = counted(self.most, self.unit)
        return f"| {self.what} | {limit} | {self.beyond} | {option} | `{self.name}` |"


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound with the number that applies to one zone.

    Args:
        bound: the bound.
        most: its default, or what the operator has set.
    """

    bound: Bound
    most: int

    def check(self, found: int) -> None:
        """Accept a size or number, as `Bound.check` does."""
        self.bound.check(found, self.most)


class BoundExceededError(ValueError):
    """A value from outside exceeds a bound.

    Args:
        bound: the bound.
        found: the size or number that was found.
        most: the limit that applied.
    """

    def __init__(self, bound: Bound, found: int, most: int) -> None:
        super().__init__(f"{counted(found, bound.unit)}; at most {most} are allowed")
        self.bound, self.found, self.most = bound, found, most


PREFIX = Bound(
    "prefix_length", Source.DATABASES, 64, "character",
    "An address or a prefix, with its length", "It counts as invalid and is not parsed.",
)  # fmt: skip

REPAIRS = Bound(
    "repairs_at_once", Source.DATABASES, 5, "time",
    "How often a row is set back at once that another client deletes or changes again and again",
    "It is set back after 0.2 s, then after twice as long each time, at last every 10 s. After 60 s"
    " of peace it is set back at once again.",
)  # fmt: skip

# 512 zones with 200 routes each are 102,400; 10,000 subnets of both families are 20,000.
_NOT_LEARNED = "The other routes, in order of their prefixes, are not learned; `TooManyRoutes`."
ROUTES_PER_ZONE = Bound(
    "routes_per_zone", Source.DATABASES, 32_768, "route",
    "Routes of one zone in IC-SB that are considered for learning", _NOT_LEARNED,
    "max-routes-per-zone",
)  # fmt: skip
ROUTES = Bound(
    "routes", Source.DATABASES, 131_072, "route",
    "Routes of all zones in IC-SB that are considered for learning",
    f"Each zone has the same share; a zone within its share loses nothing. {_NOT_LEARNED}",
    "max-routes",
)  # fmt: skip

# etcd and the API server hold no object above 1.5 MiB; etcd's own bound of one ConfigMap is 1 MiB.
CONFIG_VALUE = Bound(
    "config_value", Source.CONFIGURATION, 1 << 20, "character",
    "The value of one key", "It is not parsed; the configuration in force stays in force.",
)  # fmt: skip
CONFIG_KEYS = Bound(
    "config_keys", Source.CONFIGURATION, 100, "key",
    "Keys of the ConfigMap", "It is not read; the configuration in force stays in force.",
)  # fmt: skip
CONFIG_NAME = Bound(
    "config_name", Source.CONFIGURATION, 253, "character",
    "A name, such as `az-name` or a zone in `accept`",
    "It is invalid; the configuration in force stays in force.",
)  # fmt: skip
CONFIG_ENTRIES = Bound(
    "config_entries", Source.CONFIGURATION, 10_000, "item",
    "Entries of one key: hosts, nodes (also repeated ones), VPCs, zones, routes, prefixes",
    "The value is invalid; the configuration in force stays in force.",
)  # fmt: skip
CONFIG_FAULTS = Bound(
    "config_faults", Source.CONFIGURATION, 20, "fault",
    "Faults that are reported of one value", "Its other faults are not looked for.",
)  # fmt: skip
CONFIG_VALUES = Bound(
    "config_values", Source.CONFIGURATION, 100_000, "value",
    "Values in the YAML of one key, an alias counted as all that it stands for",
    "It is not read; the configuration in force stays in force.",
)  # fmt: skip
YAML_VALUES = Bound(
    "yaml_values", Source.CONFIGURATION, 1_000_000, "value",
    "Values in a YAML file, an alias counted as all that it stands for",
    "The file is not read; the objects that it held stay in force.",
)  # fmt: skip
YAML_DEPTH = Bound(
    "yaml_depth", Source.CONFIGURATION, 100, "level",
    "Values inside each other in YAML", "It is not read; what was in force stays in force.",
)  # fmt: skip
YAML_NUMBER = Bound(
    "yaml_number", Source.CONFIGURATION, 64, "character",
    "A number or a time in YAML", "It is not read; what was in force stays in force.",
)  # fmt: skip
MANIFEST_FILE = Bound(
    "manifest_file", Source.CONFIGURATION, 16 << 20, "byte",
    "A manifest file",
    "It is not read; the objects that it held stay in force.",
)  # fmt: skip

CREDENTIALS_FILE = Bound(
    "credentials_file", Source.CONFIGURATION, 4 << 20, "byte",
    "A kubeconfig, or a file with a token, a key or certificates",
    "It is not read, and what needs it is reported.",
)  # fmt: skip

_KEPT = "The answer is not read, and is reported; the last known objects stay in force."

# A page has 500 objects. The largest are Nodes with all their images: some 50 kB each.
KUBE_ANSWER = Bound(
    "kube_answer", Source.KUBERNETES, 256 << 20, "byte", "An answer, such as a page of a list",
    _KEPT,
)  # fmt: skip
# etcd holds no object above 1.5 MiB.
KUBE_EVENT = Bound(
    "kube_event", Source.KUBERNETES, 8 << 20, "byte", "An event of a watch",
    "The watch ends, and is reported; the last known objects stay in force.",
)  # fmt: skip
KUBE_DEPTH = Bound(
    "kube_depth", Source.KUBERNETES, 100, "level", "Brackets nested in an answer or an event",
    _KEPT,
)  # fmt: skip
KUBE_OBJECTS = Bound(
    "kube_objects", Source.KUBERNETES, 200_000, "object", "Objects of one kind",
    "The list is not read further, and is reported; the last known objects stay in force.",
)  # fmt: skip
KUBE_MESSAGE = Bound(
    "kube_message", Source.KUBERNETES, 1000, "character",
    "The text of an error that the API server returns", "Its first characters are used.",
)  # fmt: skip
KUBE_WAIT = Bound(
    "kube_wait", Source.KUBERNETES, 60, "second",
    "How long the API server can ask to wait until the next attempt", "The wait is shorter.",
)  # fmt: skip

_QUOTA = "ic-db run --quota"
_REFUSED = "The transaction is refused."
_DELAYED = "The zone's next message is read later."

# An insert of a route as ovn-ic writes it, with external_ids, has 336 characters and 18 values. It
# writes all routes in one transaction: 10,000 are 3.4 MB and 180,000 values. Isthmus writes 1,000
# rows at a time.
ZONE_MESSAGE = Bound(
    "zone_message", Source.PROXY, 4 << 20, "character",
    "A message of a zone", "It is not parsed, and the connection is closed.", _QUOTA,
)  # fmt: skip
ZONE_REQUEST = Bound(
    "zone_request", Source.PROXY, 16 << 10, "character",
    "A message that is not a transaction, e.g. of a monitor", "It is refused.", _QUOTA,
)  # fmt: skip
ZONE_DEPTH = Bound(
    "zone_depth", Source.PROXY, 16, "level",
    "Brackets nested in a message", "It is not parsed, and the connection is closed.", _QUOTA,
)  # fmt: skip
ZONE_VALUES = Bound(
    "zone_values", Source.PROXY, 500_000, "value",
    "Values in a message", "It is not parsed, and the connection is closed.", _QUOTA,
)  # fmt: skip

ZONE_OPERATIONS = Bound(
    "zone_operations", Source.PROXY, 20_000, "operation",
    "Operations in a transaction", _REFUSED, _QUOTA,
)  # fmt: skip
ZONE_SCANS = Bound(
    "zone_scans", Source.PROXY, 16, "operation",
    "Selects in a transaction, and waits that name no row", _REFUSED, _QUOTA,
)  # fmt: skip
ZONE_CLAUSES = Bound(
    "zone_clauses", Source.PROXY, 8, "condition",
    "Conditions of an operation", _REFUSED, _QUOTA,
)  # fmt: skip
ZONE_COMMENT = Bound(
    "zone_comment", Source.PROXY, 1024, "character",
    "Comments in a transaction, which the log of a cluster keeps", _REFUSED, _QUOTA,
)  # fmt: skip
ZONE_ROW = Bound(
    "zone_row", Source.PROXY, 2048, "character",
    "The values of a row in a transaction, with `external_ids` that the row has", _REFUSED, _QUOTA,
)  # fmt: skip
# 10,000 subnets with prefixes of both families are 20,000 routes.
ZONE_ROUTES = Bound(
    "zone_routes", Source.PROXY, 32_768, "route", "Routes of a zone", _REFUSED, _QUOTA
)
ZONE_PORTS = Bound("zone_ports", Source.PROXY, 4096, "port", "Ports of a zone", _REFUSED, _QUOTA)
ZONE_GATEWAYS = Bound(
    "zone_gateways", Source.PROXY, 1024, "gateway", "Gateways of a zone", _REFUSED, _QUOTA
)
ZONE_TUNNELS = Bound(
    "zone_tunnels", Source.PROXY, 4096, "tunnel", "Tunnels of a zone's gateways", _REFUSED, _QUOTA
)
ZONE_CHECKS = Bound(
    "zone_checks", Source.PROXY, 4096, "check", "Health checks that a zone requests",
    _REFUSED, _QUOTA,
)  # fmt: skip
ZONE_CLAIMS = Bound(
    "zone_claims", Source.PROXY, 64, "claim", "Addresses of a transit switch that a zone claims",
    _REFUSED, _QUOTA,
)  # fmt: skip

ZONE_CONNECTIONS = Bound(
    "zone_connections", Source.PROXY, 64, "connection",
    "Connections of a zone to both databases", "The connection is closed.", _QUOTA,
)  # fmt: skip
ZONE_MONITORS = Bound(
    "zone_monitors", Source.PROXY, 8, "monitor",
    "Monitors of a connection", "The monitor is refused.", _QUOTA,
)  # fmt: skip
ZONE_CHARACTERS = Bound(
    "zone_characters", Source.PROXY, 512 << 10, "character",
    "Sent by a zone in each second, after the first 64 seconds' worth", _DELAYED, _QUOTA,
)  # fmt: skip
ZONE_REQUESTS = Bound(
    "zone_requests", Source.PROXY, 100, "request",
    "Sent by a zone in each second, after the first 64 seconds' worth", _DELAYED, _QUOTA,
)  # fmt: skip
ANSWERS = Bound(
    "answers", Source.PROXY, 4, "answer",
    "Answers with rows on their way to zones that do not let the proxy wait for 10 seconds",
    "The next zone waits.",
)  # fmt: skip
# 10,000 subnets pass at once: the largest transaction of ovn-ic that ZONE_MESSAGE allows.
ZONE_CHANGES = Bound(
    "zone_changes", Source.PROXY, 200, "operation",
    "Sent by a zone in each second, after the first 64 seconds' worth", _DELAYED, _QUOTA,
)  # fmt: skip
STRANGERS = Bound(
    "strangers", Source.PROXY, 2000, "connection",
    "Connections that have not authenticated yet", "The connection is closed.",
)  # fmt: skip
STRANGERS_PER_ADDRESS = Bound(
    "strangers_per_address", Source.PROXY, 1000, "connection",
    "Connections from one address that have not authenticated yet", "The connection is closed.",
)  # fmt: skip

PROXY: tuple[Bound, ...] = (
    ZONE_MESSAGE, ZONE_REQUEST, ZONE_DEPTH, ZONE_VALUES, ZONE_OPERATIONS, ZONE_SCANS, ZONE_CLAUSES,
    ZONE_COMMENT, ZONE_ROW, ZONE_ROUTES, ZONE_PORTS, ZONE_GATEWAYS, ZONE_TUNNELS, ZONE_CHECKS,
    ZONE_CLAIMS, ZONE_CONNECTIONS, ZONE_MONITORS, ZONE_CHARACTERS, ZONE_REQUESTS,
    ZONE_CHANGES,
)  # fmt: skip
"""Those that the operator can set for each zone."""

# A backup is unpacked in memory, for its checksums.
BACKUP_SIZE = Bound(
    "backup_size", Source.FILES, 512 << 20, "byte",
    "The unpacked contents of a backup", "It is not unpacked further, and not restored.",
)  # fmt: skip
BACKUP_FILES = Bound(
    "backup_files", Source.FILES, 16, "file",
    "Files in a backup", "It is not unpacked further, and not restored.",
)  # fmt: skip
BACKUP_MANIFEST = Bound(
    "backup_manifest", Source.FILES, 64 << 10, "byte",
    "The manifest of a backup", "It is not parsed, and nothing is restored.",
)  # fmt: skip

SERVER_MESSAGE = Bound(
    "server_message", Source.DATABASES, 256 << 20, "character",
    "One message of a server, such as the first contents of a database",
    "The connection is closed, reported, and made again after a delay that grows to 30 s.",
)  # fmt: skip

SERVER_ANSWER = Bound(
    "server_answer", Source.DATABASES, 4 << 20, "character",
    "The answer of another member's server to the question which databases it has",
    "The connection is closed; the member counts as one that does not answer.",
)  # fmt: skip

SERVER_READ = Bound(
    "server_read", Source.DATABASES, 4 << 20, "byte",
    "What one connection to a server takes in one turn of the loop",
    "The rest is read in the next turns, after other connections.",
)  # fmt: skip

ALL: tuple[Bound, ...] = (
    CONFIG_KEYS,
    CONFIG_VALUE,
    CONFIG_NAME,
    CONFIG_ENTRIES,
    CONFIG_VALUES,
    CONFIG_FAULTS,
    YAML_VALUES,
    YAML_DEPTH,
    YAML_NUMBER,
    MANIFEST_FILE,
    CREDENTIALS_FILE,
    KUBE_ANSWER,
    KUBE_EVENT,
    KUBE_DEPTH,
    KUBE_OBJECTS,
    KUBE_MESSAGE,
    KUBE_WAIT,
    PREFIX,
    SERVER_MESSAGE,
    SERVER_ANSWER,
    SERVER_READ,
    REPAIRS,
    ROUTES_PER_ZONE,
    ROUTES,
    *PROXY,
    ANSWERS,
    STRANGERS,
    STRANGERS_PER_ADDRESS,
    BACKUP_SIZE,
    BACKUP_FILES,
    BACKUP_MANIFEST,
)
"""In the order of the page, by source."""


def page_tables() -> str:
    """The sections of docs/reference/bounds.md."""
    head = "| what | at most | beyond | option | counter |\n|---|---|---|---|---|\n"
    sections = []
    for source in Source:
        rows = [bound.row() for bound in ALL if bound.source is source]
        if rows:
            sections.append(f"## {source}\n\n{head}" + "\n".join(rows) + "\n")
    return "\n".join(sections)

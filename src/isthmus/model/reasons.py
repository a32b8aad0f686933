"""Every reason that a problem or a condition can have: the public vocabulary of the status.

Reasons are API: programs match on them, so a released one is never renamed.
docs/reference/status.md lists them with these meanings, and a test compares the two.
"""

from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """The severity of a problem.

    Attributes:
        ERROR: traffic or the exchange of routes is affected.
        WARNING: everything still works, but an operator should act.
        INFO: works as configured; shown, but never sets `Degraded`.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Reason(StrEnum):
    """The reason of a problem.

    The order matters: of several problems the first one here is named first, because it is the
    most likely cause of the others.

    Attributes:
        severity: its severity.
        meaning: one sentence fragment, for the documentation.
    """

    severity: Severity
    meaning: str

    def __new__(cls, value: str, severity: Severity, meaning: str) -> Self:
        """Attach severity and meaning to the text of the reason."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity, member.meaning = severity, meaning
        return member

    DATABASE_UNREACHABLE = (
        "DatabaseUnreachable",
        Severity.ERROR,
        "a database does not respond; traffic continues, but no routes are exchanged",
    )
    ZONE_NAME_TAKEN = (
        "ZoneNameTaken",
        Severity.ERROR,
        "another cluster in the same IC databases uses this `az-name`",
    )
    INVALID_VALUE = ("InvalidValue", Severity.ERROR, "the ConfigMap contains an invalid value")
    FORBIDDEN = ("Forbidden", Severity.ERROR, "the Kubernetes API refuses access to an object")
    NO_ROUTER = ("NoRouter", Severity.ERROR, "a connected VPC has no logical router")
    NO_GATEWAY = ("NoGateway", Severity.ERROR, "no node in `gw-nodes` can serve as a gateway")
    NOT_INTERCONNECTING = (
        "NotInterconnecting",
        Severity.ERROR,
        "a gateway node's chassis does not take part in interconnection",
    )
    NO_CHASSIS = ("NoChassis", Severity.ERROR, "a gateway node has no chassis in SB")
    NO_SUCH_NODE = ("NoSuchNode", Severity.ERROR, "a node in `gw-nodes` does not exist")
    CHASSIS_NAME_TAKEN = (
        "ChassisNameTaken",
        Severity.ERROR,
        "another zone's gateway has the same chassis name as one of this cluster's",
    )
    NAME_TAKEN = ("NameTaken", Severity.ERROR, "another object has the name that a port needs")
    NO_FREE_ADDRESS = (
        "NoFreeAddress",
        Severity.ERROR,
        "a transit switch's subnet has no free address",
    )
    INVALID_TRANSIT_SWITCH = (
        "InvalidTransitSwitch",
        Severity.ERROR,
        "a transit switch has no usable subnet",
    )
    SHARED_SUBNET = (
        "SharedSubnet",
        Severity.ERROR,
        "two transit switches have overlapping subnets, and only one of them is connected",
    )
    NOT_PERMITTED = (
        "NotPermitted",
        Severity.ERROR,
        "the authorizing proxy refuses a write of this zone",
    )
    WRITE_REFUSED = ("WriteRefused", Severity.ERROR, "a database rejects a transaction")
    NOT_READ = ("NotRead", Severity.ERROR, "a manifest or an API resource cannot be read")
    NO_VPC = ("NoVpc", Severity.ERROR, "`vpcs` names a VPC that does not exist")
    NO_TRANSIT_SWITCH = (
        "NoTransitSwitch",
        Severity.ERROR,
        "no transit switch serves a VPC's network",
    )
    OVERLAPPING_PREFIX = (
        "OverlappingPrefix",
        Severity.ERROR,
        "another zone's prefix overlaps one of this cluster's and is not learned",
    )
    AMBIGUOUS_PREFIX = (
        "AmbiguousPrefix",
        Severity.ERROR,
        "several zones advertise the same prefix, and traffic is shared between them",
    )
    PRIVATE_PREFIXES_EXPOSED = (
        "PrivatePrefixesExposed",
        Severity.ERROR,
        "`ic-route-denylist` overrides the list that excludes private prefixes",
    )
    NOT_ENFORCED = (
        "NotEnforced",
        Severity.ERROR,
        "`accept` or `advertise` is set, but `ovn-ic` exchanges the routes",
    )
    DUPLICATE_CHASSIS = (
        "DuplicateChassis",
        Severity.WARNING,
        "several chassis have the hostname of a gateway node",
    )
    INVALID_OPTION = ("InvalidOption", Severity.WARNING, "an option in a row has an invalid value")
    INVALID_SUBNET = ("InvalidSubnet", Severity.WARNING, "a Subnet contains an invalid value")
    INVALID_NODE = ("InvalidNode", Severity.WARNING, "a Node has an invalid address")
    OVERLAPPING_SUBNETS = (
        "OverlappingSubnets",
        Severity.WARNING,
        "two Subnets of one VPC share addresses",
    )
    MANUAL_ROUTE = (
        "ManualRoute",
        Severity.WARNING,
        "a manual static route has the prefix of a declared one and shares its traffic",
    )
    UNKNOWN_ZONE = (
        "UnknownZone",
        Severity.WARNING,
        "a declared route names a zone that has not joined",
    )
    NO_NEXT_HOP = (
        "NoNextHop",
        Severity.WARNING,
        "the zone of a declared route has no port that can be the next hop",
    )
    NOT_READY = ("NotReady", Severity.WARNING, "a gateway node is not Ready in Kubernetes")
    INEFFECTIVE = ("Ineffective", Severity.WARNING, "a value of the ConfigMap has no effect")
    CREDENTIALS = ("Credentials", Severity.ERROR, "the Kubernetes credentials cannot be used")
    UNAUTHORIZED = (
        "Unauthorized",
        Severity.ERROR,
        "the API server does not accept the credentials",
    )
    UNREACHABLE = ("Unreachable", Severity.ERROR, "the API server does not respond")
    TLS = ("TLS", Severity.ERROR, "the TLS handshake with the API server fails")
    NOT_FOUND = ("NotFound", Severity.ERROR, "the API server does not have a resource")
    MALFORMED = ("Malformed", Severity.ERROR, "the API server returned an invalid response")
    API_ERROR = ("ApiError", Severity.ERROR, "the API server returned an error")
    PUBLISHER_FAILED = ("PublisherFailed", Severity.ERROR, "the status could not be published")
    CLEAR_TEXT = ("ClearText", Severity.INFO, "a database connection is not encrypted")
    REFUSED_BY_POLICY = (
        "RefusedByPolicy",
        Severity.INFO,
        "`accept` or `advertise` excludes routes, as configured",
    )
    OTHER = ("NeedsAttention", Severity.ERROR, "a problem without a more specific reason")


class ConditionReason(StrEnum):
    """The reason of a condition that no problem explains.

    Attributes:
        meaning: one sentence fragment, for the documentation.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Attach the meaning to the text of the reason."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    STARTING = ("Starting", "not all inputs have been read yet")
    VALID = ("Valid", "the configuration is in force")
    NOT_ENABLED = ("NotEnabled", "interconnection is disabled for this cluster")
    LEAVING = ("Leaving", "this cluster is leaving")
    CONVERGING = ("Converging", "something is missing, and is expected within 3 seconds")
    REGISTERING = ("Registering", "the zone is not registered, and no problem explains why")
    PORT_MISSING = ("PortMissing", "there is no router port, and no problem explains why")
    NO_ROUTES = ("NoRoutes", "other zones advertise routes, but none is learned")
    PARTLY_JOINED = ("PartlyJoined", "connected, but not over every transit switch")
    NO_OTHER_ZONE = ("NoOtherZone", "connected; no other zone has joined yet")
    JOINED = ("Joined", "connected with the zones in the message")
    NO_OVERLAP = ("NoOverlap", "no prefixes overlap")
    ALL_WELL = ("AllWell", "there are no problems")

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


_ERROR, _WARNING, _INFO = Severity


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

    def __new__(cls, value: str, meaning: str, severity: Severity = _ERROR) -> Self:
        """Attach severity and meaning to the text of the reason."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity, member.meaning = severity, meaning
        return member

    DATABASE_UNREACHABLE = ("DatabaseUnreachable", "a database does not respond; traffic continues")
    ZONE_NAME_TAKEN = ("ZoneNameTaken", "another cluster uses this `az-name`")
    INVALID_VALUE = ("InvalidValue", "the ConfigMap contains an invalid value")
    FORBIDDEN = ("Forbidden", "the Kubernetes API refuses access to an object")
    NO_ROUTER = ("NoRouter", "a connected VPC has no logical router")
    GATEWAY_CONFLICT = ("GatewayConflict", "a connection changes NAT or load balancers of a router")
    NO_GATEWAY = ("NoGateway", "no node in `gw-nodes` can serve as a gateway")
    NOT_INTERCONNECTING = ("NotInterconnecting", "a gateway's chassis lacks `ovn-is-interconn`")
    NO_CHASSIS = ("NoChassis", "a gateway node has no chassis in SB")
    NO_SUCH_NODE = ("NoSuchNode", "a node in `gw-nodes` does not exist")
    CHASSIS_NAME_TAKEN = ("ChassisNameTaken", "a gateway of another zone has the same chassis name")
    TUNNEL_IP_TAKEN = ("TunnelIpTaken", "another chassis, of any zone, has the tunnel IP of a node")
    GATEWAY_NOT_PUBLISHED = ("GatewayNotPublished", "another zone's active gateway is unknown")
    NAME_TAKEN = ("NameTaken", "another object has the name that a port or a router needs")
    NO_FREE_ADDRESS = ("NoFreeAddress", "a transit switch's subnet has no free address")
    PATH_KEPT = (
        "PathKept",
        "the last path to a zone stays, but something that it needs is missing",
    )
    INVALID_TRANSIT_SWITCH = (
        "InvalidTransitSwitch",
        "a transit switch has no usable subnet, or no network",
    )
    SHARED_SUBNET = ("SharedSubnet", "two transit switches overlap, and only one is connected")
    NOT_PERMITTED = ("NotPermitted", "the authorizing proxy refuses a write of this zone")
    DISK_FULL = ("DiskFull", "the disk of a database's server is full")
    ROWS_OVERWRITTEN = (
        "RowsOverwritten",
        "another client deletes or changes rows as often as they are set back",
    )
    WRITE_REFUSED = ("WriteRefused", "a database rejects a transaction")
    OBJECTS_LOST = ("ObjectsLost", "objects are missing, but were not deleted; they stay in force")
    NOT_READ = ("NotRead", "a manifest or an API resource cannot be read")
    NO_VPC = ("NoVpc", "`vpcs` names a VPC that does not exist")
    NO_TRANSIT_SWITCH = ("NoTransitSwitch", "no transit switch serves a VPC's network")
    OVERLAPPING_PREFIX = ("OverlappingPrefix", "another zone's prefix overlaps, and is not learned")
    AMBIGUOUS_PREFIX = ("AmbiguousPrefix", "several zones advertise a prefix and share its traffic")
    TOO_MANY_ROUTES = ("TooManyRoutes", "zones advertise more routes than this cluster considers")
    PRIVATE_PREFIXES_EXPOSED = ("PrivatePrefixesExposed", "`ic-route-denylist` exposes prefixes")
    NOT_ENFORCED = ("NotEnforced", "`accept` or `advertise` is set, but `ovn-ic` has no such rules")
    CERTIFICATE_EXPIRES = (
        "CertificateExpires",
        "a certificate has expired, expires within 30 days, or is not valid yet",
        _WARNING,
    )
    DUPLICATE_CHASSIS = ("DuplicateChassis", "several chassis have a gateway's hostname", _WARNING)
    INVALID_GATEWAY = (
        "InvalidGateway",
        "another zone's gateway has an invalid name or tunnel IP",
        _WARNING,
    )
    INVALID_OPTION = ("InvalidOption", "an option in a row has an invalid value", _WARNING)
    INVALID_SUBNET = ("InvalidSubnet", "a Subnet contains an invalid value", _WARNING)
    INVALID_NODE = ("InvalidNode", "a Node has an invalid address", _WARNING)
    OVERLAPPING_SUBNETS = ("OverlappingSubnets", "two Subnets of one VPC overlap", _WARNING)
    MANUAL_ROUTE = ("ManualRoute", "a manual route shares the traffic of a declared one", _WARNING)
    UNKNOWN_ZONE = ("UnknownZone", "a declared route names a zone that has not joined", _WARNING)
    NO_NEXT_HOP = ("NoNextHop", "the zone of a declared route has no usable port", _WARNING)
    NOT_READY = ("NotReady", "a gateway node is not Ready in Kubernetes", _WARNING)
    INEFFECTIVE = ("Ineffective", "a value of the ConfigMap has no effect", _WARNING)
    CREDENTIALS = ("Credentials", "the Kubernetes credentials cannot be used")
    UNAUTHORIZED = ("Unauthorized", "the API server does not accept the credentials")
    UNREACHABLE = ("Unreachable", "the API server does not respond")
    TLS = ("TLS", "the TLS handshake with the API server fails")
    NOT_FOUND = ("NotFound", "the API server does not have a resource")
    MALFORMED = ("Malformed", "the API server returned an invalid response")
    API_ERROR = ("ApiError", "the API server returned an error")
    PUBLISHER_FAILED = ("PublisherFailed", "the status could not be published")
    CLEAR_TEXT = ("ClearText", "a database connection is not encrypted", _INFO)
    REFUSED_BY_POLICY = ("RefusedByPolicy", "`accept` or `advertise` excludes routes", _INFO)
    SHARED_UNDERLAY = (
        "SharedUnderlay",
        "another zone advertises the prefix of an underlay, which is not learned",
        _INFO,
    )
    CONNECTED_ANYWAY = ("ConnectedAnyway", "`force-connect` overrides `GatewayConflict`", _INFO)
    OTHER = ("NeedsAttention", "a problem without a more specific reason")


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
    NOT_CONNECTED = ("NotConnected", "other zones have ports, but no gateway that can be reached")
    PARTLY_JOINED = (
        "PartlyJoined",
        "connected, but not over every transit switch or to every zone",
    )
    NO_OTHER_ZONE = ("NoOtherZone", "connected; no other zone has joined yet")
    JOINED = ("Joined", "connected with the zones in the message")
    NO_OVERLAP = ("NoOverlap", "no prefixes overlap")
    ALL_WELL = ("AllWell", "there are no problems")

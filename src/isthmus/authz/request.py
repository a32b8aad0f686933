"""One transaction of a zone, with the questions that the authorization rules ask about it.

Used by `rules`, `zone_rows` and `shared_rows`. Pure. Operations keep their JSON form (RFC 7047,
5.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from isthmus.authz.database_state import (
    DatabaseState,
    Json,
    JsonRow,
    elements,
    pairs,
    port_addresses,
    reference,
)
from isthmus.model.bounds import Bound, BoundExceededError, Limit
from isthmus.model.prefixes import Address, Network
from isthmus.model.text import printable

OWNED = frozenset({"Gateway", "Port_Binding", "Route"})
"""Tables whose rows refer to the zone that owns them."""

_OWNER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(OWNED, ("availability_zone",)),
    "Availability_Zone": ("name",),
    "Datapath_Binding": ("transit_switch", "tunnel_key"),
    "Service_Monitor": ("source_availability_zone", "target_availability_zone"),
}
"""Columns that decide whether a zone may change a row."""

_NO_UUID = "00000000-0000-0000-0000-000000000000"
"""No row has this UUID."""

_MAX_LENGTH = 300
"""Characters of a refusal's parts, which contain text from the client."""

JsonOperation: TypeAlias = Mapping[str, Json]


class RefusedError(Exception):
    """A request that its sender may not make.

    Args:
        zone: the sender's.
        operation: e.g. "insert"; empty if it is not about one operation.
        table: the table concerned; may be empty.
        why: a sentence fragment; may be empty.
        bound: the name of the bound that the request exceeds; empty if it is about a rule.
    """

    def __init__(self, zone: str, operation: str, table: str, why: str, bound: str = "") -> None:
        self.bound = bound
        parts = (printable(part[:_MAX_LENGTH]) for part in (zone, operation, table, why))
        self.zone, self.operation, self.table, self.why = parts
        what = f"{self.operation} {self.table}".strip() or "make this request"
        super().__init__(f"zone {self.zone} may not {what}" + (f": {self.why}" if why else ""))

    @classmethod
    def exceeding(
        cls, error: BoundExceededError, zone: str, operation: str = "", table: str = ""
    ) -> "RefusedError":
        """The error for a request that exceeds a bound."""
        name = error.bound.name
        why = (
            f"{error.bound.what}: {error}; send less, or ask the operator of the IC databases for"
            f" `--quota {zone}={name}:NUMBER`"
        )
        return cls(zone, operation, table, why, name)


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    """What the operator has configured about zones.

    Args:
        prefixes: by zone, the only prefixes that it may advertise; any other zone may advertise
            what no other zone has advertised.
        shared: prefixes that several zones may advertise.
        quotas: by zone, the limits by name of the bound that differ from the defaults.
        gateways: by zone, the only chassis names of its gateways, which no other zone may use.
        tunnels: by zone, the only addresses of its tunnels, which no other zone may use.
    """

    prefixes: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    shared: tuple[Network, ...] = ()
    quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gateways: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tunnels: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)

    def limit(self, zone: str, bound: Bound) -> Limit:
        """A bound with the number that applies to a zone."""
        return Limit(bound, self.quotas.get(zone, {}).get(bound.name, bound.most))


class Request:
    """A transaction.

    Args:
        operations: as they came in `transact`, after the database's name.
        zone: the name in the sender's certificate.
        state: the committed rows.
        policy: the operator's.
    """

    def __init__(
        self,
        operations: Sequence[JsonOperation],
        zone: str,
        state: DatabaseState,
        policy: AuthorizationPolicy,
    ) -> None:
        self.operations, self.zone, self.state, self.policy = operations, zone, state, policy
        self._nexthops: dict[str, set[Address]] = {}

    def refused(self, operation: JsonOperation, why: str) -> RefusedError:
        """The error for one of the operations."""
        op, table = operation.get("op"), operation.get("table", "")
        return RefusedError(self.zone, str(op), str(table), why)

    def require(self, bound: Bound, found: int, operation: JsonOperation) -> None:
        """Accept a size or number of one of the operations, or of all of them if it is empty.

        Raises:
            RefusedError: it exceeds the zone's limit.
        """
        try:
            self.policy.limit(self.zone, bound).check(found)
        except BoundExceededError as error:
            op, table = str(operation.get("op", "")), str(operation.get("table", ""))
            raise RefusedError.exceeding(error, self.zone, op, table) from error

    def is_own(self, row: JsonRow) -> bool:
        """Whether a committed row belongs to the zone."""
        return self.state.zone_of(row) == self.zone

    def with_conditions(self, operation: JsonOperation) -> JsonOperation:
        """The operation, with conditions by which the server verifies the row's owner itself.

        The committed rows known here may be a moment old.
        """
        table, value = str(operation.get("table")), target_value(operation)
        if operation.get("op") == "insert" or value[:1] != ["uuid"] or table not in _OWNER_COLUMNS:
            return operation
        before = self.state.row(table, target(operation))
        if table in OWNED and self.uuid:
            more = [["availability_zone", "==", ["uuid", self.uuid]]]
        elif table == "Availability_Zone":
            more = [["name", "==", self.zone]]
        elif before:
            columns = _OWNER_COLUMNS[table]
            more = [[column, "==", before[column]] for column in columns if column in before]
        else:
            more = [["_uuid", "==", ["uuid", _NO_UUID]]]
        return {**operation, "where": [*operation["where"], *more]}

    @cached_property
    def uuid(self) -> str:
        """The UUID of the zone's `Availability_Zone` row; empty if it has none."""
        rows = self.state.tables["Availability_Zone"].items()
        return next((uuid for uuid, row in rows if row["name"] == self.zone), "")

    @cached_property
    def live_networks(self) -> frozenset[str]:
        """The names of all transit switches and transit routers."""
        return frozenset(self.state.live_networks())

    @cached_property
    def own_names(self) -> frozenset[str]:
        """The names within the transaction of `Availability_Zone` rows that it inserts."""
        return frozenset(
            str(operation["uuid-name"])
            for operation in self.operations
            if operation.get("op") == "insert"
            and operation.get("table") == "Availability_Zone"
            and "uuid-name" in operation
        )

    @cached_property
    def gateways(self) -> frozenset[str]:
        """The names of the zone's gateways, including those that the transaction inserts."""
        rows = self.state.tables["Gateway"].values()
        have = {str(row["name"]) for row in rows if self.is_own(row)}
        return frozenset(have | {str(row.get("name")) for row in self._written["Gateway"]})

    def nexthops(self, switch: str) -> set[Address]:
        """The addresses of the zone's ports on a transit switch after the transaction."""
        if switch not in self._nexthops:
            ports = [row for row in self.state.ports_on(switch) if self.is_own(row)]
            made = self._written["Port_Binding"]
            ports += [row for row in made if row.get("transit_switch") == switch]
            self._nexthops[switch] = port_addresses(ports)
        return self._nexthops[switch]

    @cached_property
    def _written(self) -> Mapping[str, list[JsonRow]]:
        """The zone's rows that the transaction inserts or updates, as it leaves them."""
        written: dict[str, list[JsonRow]] = {table: [] for table in OWNED}
        for operation in self.operations:
            table, row, op = (operation.get(key) for key in ("table", "row", "op"))
            if table in OWNED and isinstance(row, dict):
                before = self.state.row(str(table), target(operation))
                # An update of a missing row, or of another zone's, has no effect.
                if op == "insert" or (op == "update" and before and self.is_own(before)):
                    written[str(table)].append({**before, **row})
        return written


def target(operation: JsonOperation) -> str:
    """The UUID, or the name within the transaction, of the one row concerned; else empty."""
    return reference(target_value(operation))


def target_value(operation: JsonOperation) -> list[Json]:
    """The same in its JSON form; else empty."""
    match operation.get("where"):
        case [["_uuid", "==", list(value)]]:
            return value
    return []


def row_of(operation: JsonOperation) -> JsonRow:
    """The row of an insert or update; empty if there is none.

    Raises:
        ValueError: the row is not an object.
    """
    row = operation.get("row", {})
    if not isinstance(row, dict):
        raise ValueError("a row is not an object")
    return row


def mutations(operation: JsonOperation) -> list[tuple[str, str, Json]]:
    """Column, mutator and value of each mutation.

    Raises:
        ValueError: they are malformed.
    """
    found = operation.get("mutations", [])
    if not isinstance(found, list) or any(
        not isinstance(one, list) or len(one) != 3 or not isinstance(one[0], str) for one in found
    ):
        raise ValueError("a mutation is not [column, mutator, value]")
    return [(column, mutator, value) for column, mutator, value in found]


def keys_of(value: Json) -> dict[str, str]:
    """The keys that a mutation of a map names, with their values if it gives them."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return pairs(value)
    return {str(element): "" for element in elements(value)}

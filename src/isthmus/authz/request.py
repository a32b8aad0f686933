"""What a zone asks in one transaction, in the form in which the guard's rules look at it.

Made by `guard_rules`, asked by it, by `guard_owned` and by `guard_shared`. Pure. Operations stay in
the wire's form (RFC 7047, 5.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from isthmus.authz.database_state import Known, Wire, elements, pairs, port_addresses, reference
from isthmus.model.prefixes import Address, Network

OWNED = frozenset({"Gateway", "Port_Binding", "Route"})
"""Tables whose rows say which zone they are of."""

BOUND: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(OWNED, ("availability_zone",)),
    "Availability_Zone": ("name",),
    "Datapath_Binding": ("transit_switch", "tunnel_key"),
    "Service_Monitor": ("source_availability_zone", "target_availability_zone"),
}
"""Columns that say whether a row is one's to change."""

_NONE = "00000000-0000-0000-0000-000000000000"
"""The UUID of no row."""

LONGEST = 300
"""Characters of a refusal: parts of it are what its sender wrote."""

Operation = Mapping[str, Wire]


class RefusedError(Exception):
    """An operation that its sender may not do.

    Args:
        zone: the sender's.
        operation: e.g. "insert"; empty if it is about no single operation.
        table: the table that it is about; may be empty.
        why: for people.
    """

    def __init__(self, zone: str, operation: str, table: str, why: str) -> None:
        self.zone, self.operation, self.table = map(printable, (zone, operation, table))
        self.why = printable(why)
        what = " ".join(part for part in (self.operation, self.table, self.why) if part)
        super().__init__(f"zone {self.zone} may not: {what}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has said.

    Args:
        prefixes: by zone, the only prefixes that it may announce; a zone that is not named may
            announce what no other zone has announced.
        shared: prefixes that several zones may announce.
    """

    prefixes: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    shared: tuple[Network, ...] = ()


class Asked:
    """A transaction.

    Args:
        operations: as they came in `transact`, after the database's name.
        zone: the name in the sender's certificate.
        known: the committed rows.
        policy: the operator's.
    """

    def __init__(
        self, operations: Sequence[Operation], zone: str, known: Known, policy: Policy
    ) -> None:
        self.operations, self.zone, self.known, self.policy = operations, zone, known, policy
        self._nexthops: dict[str, set[Address]] = {}

    def refused(self, operation: Operation, why: str) -> RefusedError:
        """The error that says what may not be done."""
        op, table = operation.get("op"), operation.get("table", "")
        return RefusedError(self.zone, str(op), str(table), why)

    def is_mine(self, row: Operation) -> bool:
        """Whether a committed row refers to the zone."""
        return self.known.zone_of(row) == self.zone

    def bound(self, operation: Operation) -> Operation:
        """The same for the server, which is to look itself that the row is what it was taken for.

        The row may be there and not be known yet, if it was made a moment ago.
        """
        table, found = str(operation.get("table")), target_value(operation)
        if operation.get("op") == "insert" or found[:1] != ["uuid"] or table not in BOUND:
            return operation
        before = self.known.row(table, target(operation))
        if table in OWNED and self.uuid:
            more = [["availability_zone", "==", ["uuid", self.uuid]]]
        elif table == "Availability_Zone":
            more = [["name", "==", self.zone]]
        elif before:
            more = [[column, "==", before[column]] for column in BOUND[table] if column in before]
        else:
            more = [["_uuid", "==", ["uuid", _NONE]]]
        return {**operation, "where": [*operation["where"], *more]}

    @cached_property
    def uuid(self) -> str:
        """The zone's row; empty if it has none."""
        rows = self.known.tables["Availability_Zone"].items()
        return next((uuid for uuid, row in rows if row["name"] == self.zone), "")

    @cached_property
    def own_names(self) -> frozenset[str]:
        """The transaction's own names of rows that it makes for zones."""
        return frozenset(
            str(operation["uuid-name"])
            for operation in self.operations
            if operation.get("op") == "insert"
            and operation.get("table") == "Availability_Zone"
            and "uuid-name" in operation
        )

    @cached_property
    def gateways(self) -> frozenset[str]:
        """The names of the zone's gateways, with those that the transaction makes."""
        rows = self.known.tables["Gateway"].values()
        have = {str(row["name"]) for row in rows if self.is_mine(row)}
        return frozenset(have | {str(row.get("name")) for row in self._left["Gateway"]})

    def nexthops(self, switch: str) -> set[Address]:
        """The addresses of the zone's ports on a transit switch, with those that it makes."""
        if switch not in self._nexthops:
            ports = [row for row in self.known.ports_on(switch) if self.is_mine(row)]
            made = (row for row in self._left["Port_Binding"])
            ports += [row for row in made if row.get("transit_switch") == switch]
            self._nexthops[switch] = port_addresses(ports)
        return self._nexthops[switch]

    @cached_property
    def _left(self) -> Mapping[str, list[Operation]]:
        """The rows of owned tables as the transaction's inserts and updates leave them."""
        left: dict[str, list[Operation]] = {table: [] for table in OWNED}
        for operation in self.operations:
            table, row, op = (operation.get(key) for key in ("table", "row", "op"))
            if table in OWNED and isinstance(row, dict):
                before = self.known.row(str(table), target(operation))
                # An update of what is not there, or not ours, leaves nothing.
                if op == "insert" or (op == "update" and before and self.is_mine(before)):
                    left[str(table)].append({**before, **row})
        return left


def target(operation: Operation) -> str:
    """The UUID, or the name within the transaction, of the one row meant; else empty."""
    return reference(target_value(operation))


def target_value(operation: Operation) -> list[Wire]:
    """The same as it is on the wire; else empty."""
    where = operation.get("where")
    if isinstance(where, list) and len(where) == 1:
        match where[0]:
            case ["_uuid", "==", list(value)]:
                return value
    return []


def row_of(operation: Operation) -> Mapping[str, Wire]:
    """The row of an insertion or update.

    Raises:
        ValueError: it is none.
    """
    row = operation.get("row", {})
    if not isinstance(row, dict):
        raise ValueError("a row is not an object")
    return row


def mutations(operation: Operation) -> list[tuple[str, str, Wire]]:
    """Column, mutator and value of each.

    Raises:
        ValueError: they are none.
    """
    found = operation.get("mutations", [])
    if not isinstance(found, list) or any(
        not isinstance(one, list) or len(one) != 3 or not isinstance(one[0], str) for one in found
    ):
        raise ValueError("a mutation is not [column, mutator, value]")
    return [(column, mutator, value) for column, mutator, value in found]


def keys_of(value: Wire) -> dict[str, str]:
    """The keys that a mutation of a map is about, whether given with values or without."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return pairs(value)
    return {str(element): "" for element in elements(value)}


def printable(text: str) -> str:
    """A text for logs and terminals: what is no letter or sign is replaced, the end left out."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST])

"""Whether a zone may do what it asks of the IC databases: ARCHITECTURE.md's table of ownership.

Called by `guard` with every transaction. Pure. Invariant: what is not expressly allowed is
refused, and operations are named by `_uuid ==` only, as `ovn-ic` and Isthmus name them, so that
what is judged is what is written.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.icdb.guard_known import Known, Wire, elements, pairs, port_addresses, reference
from isthmus.model.claims import alive_key, claimed_address, zone_claim
from isthmus.model.prefixes import (
    Network,
    is_inside,
    parse_address,
    parse_interface,
    parse_network,
)

HARMLESS = frozenset({"comment", "select", "wait", "commit", "abort"})
OWNED = frozenset({"Gateway", "Port_Binding", "Route"})

_MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")


class RefusedError(Exception):
    """An operation that its sender may not do; the text is for people."""


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


def check(
    operations: Sequence[Wire], zone: str, known: Known, policy: Policy
) -> list[Mapping[str, Wire]]:
    """Judge a transaction.

    Args:
        operations: as they came in `transact`, after the database's name.
        zone: the name in the sender's certificate.
        known: the committed rows.
        policy: the operator's.

    Returns:
        the operations to pass on; they differ only where deleting a key says its value too, so
        that the server looks whose it is.

    Raises:
        RefusedError: one of them is not allowed; none may be passed on.
    """
    if not zone or not all(isinstance(operation, dict) for operation in operations):
        raise RefusedError("no zone's name, or an operation that is no object")
    try:
        return _Transaction(operations, zone, known, policy).judged()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The server might make sense of what this does not: it is not passed on.
        raise RefusedError(f"zone {zone} sent a malformed operation: {error}") from error


class _Transaction:
    def __init__(
        self, operations: Sequence[Mapping[str, Wire]], zone: str, known: Known, policy: Policy
    ) -> None:
        self._operations, self._zone, self._known, self._policy = operations, zone, known, policy
        self._own_names = {
            str(operation["uuid-name"])
            for operation in operations
            if operation.get("op") == "insert"
            and operation.get("table") == "Availability_Zone"
            and "uuid-name" in operation
        }
        self._merged = self._merge()

    def judged(self) -> list[Mapping[str, Wire]]:
        self._one_update_each()
        return [self._judge(operation) for operation in self._operations]

    def _one_update_each(self) -> None:
        """A row is judged as it was before: two updates of it could hide what becomes of it."""
        seen: set[str] = set()
        for operation in self._operations:
            if operation.get("op") == "update":
                value = _target_value(operation)
                if value[:1] == ["named-uuid"]:
                    raise self._refused(operation, "changes a row that it makes")
                if _target(operation) in seen:
                    raise self._refused(operation, "changes a row twice")
                seen.add(_target(operation))

    def _merge(self) -> list[tuple[str, Mapping[str, Wire]]]:
        """The rows of owned tables as the transaction's inserts and updates leave them."""
        merged: list[tuple[str, Mapping[str, Wire]]] = []
        for operation in self._operations:
            table, row = operation.get("table"), operation.get("row")
            if table not in OWNED or not isinstance(row, dict):
                continue
            before = self._known.row(table, _target(operation))
            merged.append((str(table), {**before, **row}))
        return merged

    def _judge(self, operation: Mapping[str, Wire]) -> Mapping[str, Wire]:
        op, table = operation.get("op"), operation.get("table")
        if op in HARMLESS:
            return operation
        if op == "insert":
            if "uuid" in operation:
                raise self._refused(operation, "chooses the UUID itself")
        elif op in {"update", "mutate", "delete"}:
            if not _target(operation):
                raise self._refused(operation, "names its rows otherwise than by one _uuid")
        else:
            raise self._refused(operation, "is no operation for zones")
        if table in OWNED:
            self._owned(operation)
            return operation
        judge = _JUDGES.get(str(table))
        if judge is None:
            raise self._refused(operation, "is about a table that zones do not write")
        return judge(self, operation) or operation

    # -- rows with an owner --------------------------------------------------------------------

    def _owned(self, operation: Mapping[str, Wire]) -> None:
        table, target = str(operation["table"]), _target(operation)
        row = _row(operation)
        before = self._known.row(table, target)
        if before and self._known.zone_of(before) != self._zone:
            owner = self._known.zone_of(before)
            raise self._refused(operation, f"is about a row of zone {owner}")
        for column, _ in _mutations(operation):
            if column != "external_ids" and not (table == "Gateway" and column == "encaps"):
                raise self._refused(operation, f"mutates {column}")
        if operation["op"] == "insert" or "availability_zone" in row:
            self._names_own_zone(operation, row.get("availability_zone"))
        {"Gateway": self._gateway, "Port_Binding": self._port, "Route": self._route}[table](
            operation, {**before, **row}
        )

    def _names_own_zone(self, operation: Mapping[str, Wire], value: Wire) -> None:
        own = self._known.zone_of({"availability_zone": value}) == self._zone
        if not own and reference(value) not in self._own_names:
            raise self._refused(operation, "makes a row of another zone")

    def _gateway(self, operation: Mapping[str, Wire], _merged: Mapping[str, Wire]) -> None:
        values = [_row(operation).get("encaps", ["set", []])]
        values += [value for column, value in _mutations(operation) if column == "encaps"]
        for value in values:
            for element in elements(value):
                encap = self._known.row("Encap", reference(element))
                new = isinstance(element, list) and element[:1] == ["named-uuid"]
                if not new and encap.get("gateway_name") not in self._gateways():
                    raise self._refused(operation, "uses another gateway's tunnel")

    def _gateways(self) -> set[str]:
        """The names of this zone's gateways, with those that the transaction makes."""
        rows = self._known.tables["Gateway"].values()
        have = {row["name"] for row in rows if self._known.zone_of(row) == self._zone}
        return have | {str(row.get("name")) for table, row in self._merged if table == "Gateway"}

    def _port(self, operation: Mapping[str, Wire], merged: Mapping[str, Wire]) -> None:
        if not {"address", "transit_switch"} & _row(operation).keys():
            return
        address, switch = merged.get("address", ""), merged.get("transit_switch")
        if not isinstance(switch, str) or not isinstance(address, str):
            raise self._refused(operation, "has no transit switch or address")
        # OVN reads some spellings that are not read here; they could hide another's address.
        mac, *words = address.split() or [""]
        if address and not (_MAC.fullmatch(mac) and all(map(parse_interface, words))):
            raise self._refused(operation, f"has the address {address!r}, which is not MAC IP/LEN")
        ports = self._known.ports_on(switch)
        others = [row for row in ports if self._known.zone_of(row) != self._zone]
        for taken in sorted(port_addresses([merged]) & port_addresses(others), key=str):
            raise self._refused(operation, f"takes the address {taken} of another zone's port")
        if mac and mac.lower() in {_mac(row) for row in others}:
            raise self._refused(operation, f"takes the MAC {mac} of another zone's port")

    def _route(self, operation: Mapping[str, Wire], merged: Mapping[str, Wire]) -> None:
        if not {"ip_prefix", "nexthop", "transit_switch"} & _row(operation).keys():
            return
        prefix = parse_network(str(merged.get("ip_prefix")))
        nexthop = parse_address(str(merged.get("nexthop")))
        if prefix is None or nexthop is None:
            raise self._refused(operation, "has no valid ip_prefix and nexthop")
        switch = str(merged.get("transit_switch"))
        ports = [row for row in self._known.ports_on(switch) if self._is_mine(row)]
        ports += [row for table, row in self._merged if table == "Port_Binding"]
        if nexthop not in port_addresses(p for p in ports if p.get("transit_switch") == switch):
            raise self._refused(
                operation, f"has the next hop {nexthop}, which is no port of the zone on {switch}"
            )
        self._may_announce(operation, prefix)

    def _is_mine(self, row: Mapping[str, Wire]) -> bool:
        return self._known.zone_of(row) == self._zone

    def _may_announce(self, operation: Mapping[str, Wire], prefix: Network) -> None:
        allowed = self._policy.prefixes.get(self._zone)
        if allowed is not None:
            if not any(is_inside(prefix, one) for one in allowed):
                raise self._refused(operation, f"announces {prefix}, not among its prefixes")
            return
        for zone, reserved in self._policy.prefixes.items():
            if any(is_inside(prefix, one) for one in reserved):
                raise self._refused(operation, f"announces {prefix}, which is kept for {zone}")
        if any(is_inside(prefix, one) for one in self._policy.shared):
            return
        for route in self._known.routes_over(prefix):
            owner = self._known.zone_of(route)
            if owner != self._zone:
                taken = route["ip_prefix"]
                raise self._refused(operation, f"announces {prefix}: zone {owner} has {taken}")

    # -- other tables --------------------------------------------------------------------------

    def zone_row(self, operation: Mapping[str, Wire]) -> None:
        before = self._known.row("Availability_Zone", _target(operation))
        row = _row(operation)
        if before and before["name"] != self._zone:
            raise self._refused(operation, f"is about zone {before['name']}")
        if row.get("name", before.get("name", self._zone)) != self._zone:
            raise self._refused(operation, f"would be zone {row['name']}")
        if operation["op"] == "insert" and "name" not in row:
            raise self._refused(operation, "has no name")

    def encap(self, operation: Mapping[str, Wire]) -> None:
        if operation["op"] != "insert":
            raise self._refused(operation, "changes a tunnel instead of making a new one")
        if _row(operation).get("gateway_name") not in self._gateways():
            raise self._refused(operation, "names another gateway")

    def datapath(self, operation: Mapping[str, Wire]) -> None:
        before = self._known.row("Datapath_Binding", _target(operation))
        row, rows = _row(operation), self._known.tables["Datapath_Binding"].values()
        live = self._known.live_networks()
        if operation["op"] == "insert":
            if row.get("transit_switch") not in live:
                raise self._refused(operation, "is for a transit switch that does not exist")
        elif operation["op"] == "mutate":
            raise self._refused(operation, "mutates it")
        elif operation["op"] == "delete":
            name = before.get("transit_switch")
            if name in live and _only(rows, "transit_switch", name):
                raise self._refused(operation, f"takes the key from transit switch {name}")
        elif "transit_switch" in row:
            raise self._refused(operation, "renames it")
        elif "tunnel_key" in row and _only(rows, "tunnel_key", before.get("tunnel_key")):
            raise self._refused(operation, "changes a key that nobody else has")

    def sb_global(self, operation: Mapping[str, Wire]) -> None:
        mine = {zone_claim(self._zone), alive_key(self._zone)}
        row = _row(operation)
        if operation["op"] == "insert":
            self._only_columns(operation, {"external_ids"})
            keys = set(pairs(row.get("external_ids")))
        elif operation["op"] == "update":
            self._only_columns(operation, {"nb_ic_cfg"})
            keys = set()
        else:
            keys = self._mutated_keys(operation)
        for key in sorted(keys - mine):
            raise self._refused(operation, f"changes external_ids:{key}")

    def nb_global(self, operation: Mapping[str, Wire]) -> None:
        if operation["op"] not in {"insert", "update"}:
            raise self._refused(operation, "does more than telling the sequence number")
        self._only_columns(operation, {"sb_ic_cfg"})

    def transit_switch(self, operation: Mapping[str, Wire]) -> Mapping[str, Wire]:
        if operation["op"] != "mutate":
            raise self._refused(operation, "does more than claiming addresses")
        self._mutated_keys(operation)
        row = self._known.row("Transit_Switch", _target(operation))
        claims = pairs(row.get("external_ids", ["map", []]))
        return {
            **operation,
            "mutations": [
                [column, mutator, self._claim(operation, mutator, value, claims)]
                for column, mutator, value in operation["mutations"]
            ],
        }

    def _claim(
        self, operation: Mapping[str, Wire], mutator: str, value: Wire, claims: Mapping[str, str]
    ) -> Wire:
        """The mutation's value; of what is deleted with the value, so that it is still ours."""
        asked = pairs(value) if mutator == "insert" else _keys(value)
        found = {
            key: asked[key] if mutator == "insert" else claims[key]
            for key in asked
            if mutator == "insert" or key in claims
        }
        for key, holder in found.items():
            if claimed_address(key) is None:
                raise self._refused(operation, f"changes external_ids:{key}")
            if not holder.startswith(f"{self._zone}/"):
                raise self._refused(operation, f"is about the claim {key} of {holder}")
        return ["map", [[key, holder] for key, holder in found.items()]]

    def monitor(self, operation: Mapping[str, Wire]) -> None:
        before = self._known.row("Service_Monitor", _target(operation))
        row = _row(operation)
        source = row.get("source_availability_zone", before.get("source_availability_zone"))
        if operation["op"] == "mutate":
            raise self._refused(operation, "mutates a request")
        if before and before.get("source_availability_zone") != self._zone:
            answers = operation["op"] == "update" and row.keys() <= {"status"}
            if not answers or before.get("target_availability_zone") != self._zone:
                raise self._refused(operation, "is about another zone's request")
        elif (before or row) and source != self._zone:
            raise self._refused(operation, "asks in another zone's name")

    # -- parts ---------------------------------------------------------------------------------

    def _only_columns(self, operation: Mapping[str, Wire], allowed: set[str]) -> None:
        for column in sorted(_row(operation).keys() - allowed):
            raise self._refused(operation, f"writes {column}")

    def _mutated_keys(self, operation: Mapping[str, Wire]) -> set[str]:
        if operation["op"] != "mutate":
            raise self._refused(operation, "does more than changing keys")
        keys: set[str] = set()
        for mutation in operation["mutations"]:
            column, mutator, value = mutation
            if column != "external_ids" or mutator not in {"insert", "delete"}:
                raise self._refused(operation, f"mutates {column}")
            keys |= _keys(value).keys()
        return keys

    def _refused(self, operation: Mapping[str, Wire], why: str) -> RefusedError:
        what = f"{operation.get('op')} {operation.get('table', '')}".strip()
        return RefusedError(f"zone {self._zone} may not: {what} {why}")


_JUDGES: Mapping[str, Callable[[_Transaction, Mapping[str, Wire]], Mapping[str, Wire] | None]] = {
    "Availability_Zone": _Transaction.zone_row,
    "Encap": _Transaction.encap,
    "Datapath_Binding": _Transaction.datapath,
    "IC_SB_Global": _Transaction.sb_global,
    "IC_NB_Global": _Transaction.nb_global,
    "Transit_Switch": _Transaction.transit_switch,
    "Service_Monitor": _Transaction.monitor,
}


def _only(rows: Iterable[Mapping[str, Wire]], column: str, value: Wire) -> bool:
    """Whether just one row has a value."""
    return [row[column] for row in rows].count(value) == 1


def _target(operation: Mapping[str, Wire]) -> str:
    """The UUID, or the name within the transaction, of the one row meant; else empty."""
    return reference(_target_value(operation))


def _target_value(operation: Mapping[str, Wire]) -> list[Wire]:
    where = operation.get("where")
    if isinstance(where, list) and len(where) == 1:
        match where[0]:
            case ["_uuid", "==", list(value)]:
                return value
    return []


def _row(operation: Mapping[str, Wire]) -> Mapping[str, Wire]:
    row = operation.get("row", {})
    if not isinstance(row, dict):
        raise RefusedError("a row is not an object")
    return row


def _mutations(operation: Mapping[str, Wire]) -> list[tuple[str, Wire]]:
    found = operation.get("mutations", [])
    if not isinstance(found, list) or any(
        not isinstance(one, list) or len(one) != 3 or not isinstance(one[0], str) for one in found
    ):
        raise RefusedError("a mutation is not [column, mutator, value]")
    return [(column, value) for column, _, value in found]


def _keys(value: Wire) -> dict[str, str]:
    """The keys that a mutation of a map is about, whether given with values or without."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "map":
        return pairs(value)
    return {str(element): "" for element in elements(value)}


def _mac(row: Mapping[str, Wire]) -> str:
    return str(row.get("address", "")).partition(" ")[0].lower()

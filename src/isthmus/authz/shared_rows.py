"""What a zone may do to tables whose rows several zones write, or whose owner is in a name.

Called by `guard_rules`. Pure. Each function raises `RefusedError` for what may not be done, and
returns what the server is to be given if that is not what was asked.
"""

from collections.abc import Callable, Iterable, Mapping

from isthmus.authz.database_state import Wire, pairs, reference
from isthmus.authz.request import Asked, Operation, keys_of, mutations, row_of, target
from isthmus.exchange.topology.transit_switches import TRANSIT_ROUTER, TRANSIT_SWITCH
from isthmus.model.external_ids import alive_key, claimed_address, zone_claim

_NETWORKS = {TRANSIT_SWITCH: "Transit_Switch", TRANSIT_ROUTER: "Transit_Router"}
_DATAPATH_COLUMNS = {"transit_switch", "tunnel_key", "type", "nb_ic_uuid", "external_ids"}


def _zone_row(asked: Asked, operation: Operation) -> None:
    before = asked.known.row("Availability_Zone", target(operation))
    row = row_of(operation)
    if before and before["name"] != asked.zone:
        raise asked.refused(operation, f"is about zone {before['name']}")
    if row.get("name", before.get("name", asked.zone)) != asked.zone:
        raise asked.refused(operation, f"would be zone {row['name']}")
    if operation["op"] == "insert" and "name" not in row:
        raise asked.refused(operation, "has no name")


def _encap(asked: Asked, operation: Operation) -> None:
    if operation["op"] != "insert":
        raise asked.refused(operation, "changes a tunnel instead of making a new one")
    if row_of(operation).get("gateway_name") not in asked.gateways:
        raise asked.refused(operation, "names another gateway")


def _datapath(asked: Asked, operation: Operation) -> None:
    before = asked.known.row("Datapath_Binding", target(operation))
    row, rows = row_of(operation), asked.known.tables["Datapath_Binding"].values()
    live = asked.known.live_networks()
    _only_columns(asked, operation, _DATAPATH_COLUMNS)
    _means_its_network(asked, operation, {**before, **row})
    if operation["op"] == "insert":
        if row.get("transit_switch") not in live or "tunnel_key" not in row:
            raise asked.refused(operation, "is for a transit switch that does not exist")
        if row["tunnel_key"] not in asked.known.tunnel_keys:
            raise asked.refused(operation, f"has the key {row['tunnel_key']}, which does not fit")
    elif operation["op"] == "mutate":
        raise asked.refused(operation, "mutates it")
    elif operation["op"] == "delete":
        name = before.get("transit_switch")
        if name in live and _only(rows, before, "transit_switch", "type"):
            raise asked.refused(operation, f"takes the key from transit switch {name}")
    elif "transit_switch" in row:
        raise asked.refused(operation, "renames it")
    elif "tunnel_key" in row and not _may_move(asked, row["tunnel_key"], before):
        raise asked.refused(operation, "changes a key that nobody else has")


def _may_move(asked: Asked, key: Wire, before: Operation) -> bool:
    """Whether a datapath needs another key: two have it, or it does not fit the tunnels."""
    fitting, now = asked.known.tunnel_keys, before.get("tunnel_key")
    if now not in fitting and key in fitting:
        return True
    return not _only(asked.known.tables["Datapath_Binding"].values(), before, "tunnel_key")


def _means_its_network(asked: Asked, operation: Operation, left: Operation) -> None:
    """What newer schemas say beside the name fits the name."""
    kind, uuid = left.get("type"), reference(left.get("nb_ic_uuid"))
    named = {"type", "nb_ic_uuid"} & row_of(operation).keys()
    if not named:
        return
    network = asked.known.row(_NETWORKS.get(str(kind), "Transit_Switch"), uuid)
    if network.get("name") != left.get("transit_switch"):
        raise asked.refused(operation, "is given to another transit switch or router")


def unique_datapath(operation: Operation) -> Operation | None:
    """What lets the server refuse a second datapath of one transit switch; None if it is none.

    Two zones may make the missing one at the same moment; the second is to look again, as it
    does when a wait fails. Placed last in the transaction, it sees what that leaves.
    """
    if operation.get("op") != "insert" or operation.get("table") != "Datapath_Binding":
        return None
    row = row_of(operation)
    same = [key for key in ("transit_switch", "type") if isinstance(row.get(key), str)]
    return {
        "op": "wait",
        "table": "Datapath_Binding",
        "timeout": 0,
        "where": [[column, "==", row[column]] for column in same],
        "columns": ["tunnel_key"],
        "until": "==",
        "rows": [{"tunnel_key": row["tunnel_key"]}],
    }


def _sb_global(asked: Asked, operation: Operation) -> None:
    mine = {zone_claim(asked.zone), alive_key(asked.zone)}
    row = row_of(operation)
    if operation["op"] == "insert":
        _only_columns(asked, operation, {"external_ids"})
        keys = set(pairs(row.get("external_ids")))
    elif operation["op"] == "update":
        _only_columns(asked, operation, {"nb_ic_cfg"})
        keys = set()
    else:
        keys = _mutated_keys(asked, operation)
    for key in sorted(keys - mine):
        raise asked.refused(operation, f"changes external_ids:{key}")


def _nb_global(asked: Asked, operation: Operation) -> None:
    if operation["op"] not in {"insert", "update"}:
        raise asked.refused(operation, "does more than telling the sequence number")
    _only_columns(asked, operation, {"sb_ic_cfg"})


def _transit_switch(asked: Asked, operation: Operation) -> Operation:
    if operation["op"] != "mutate":
        raise asked.refused(operation, "does more than claiming addresses")
    _mutated_keys(asked, operation)
    row = asked.known.row("Transit_Switch", target(operation))
    claims = pairs(row.get("external_ids", ["map", []]))
    return {
        **operation,
        "mutations": [
            [column, mutator, _claim(asked, operation, mutator, value, claims)]
            for column, mutator, value in mutations(operation)
        ],
    }


def _claim(
    asked: Asked, operation: Operation, mutator: str, value: Wire, claims: Mapping[str, str]
) -> Wire:
    """The mutation's value; of what is deleted with the value, so that it is still ours."""
    wanted = pairs(value) if mutator == "insert" else keys_of(value)
    found = {
        key: wanted[key] if mutator == "insert" else claims[key]
        for key in wanted
        if mutator == "insert" or key in claims
    }
    for key, holder in found.items():
        if claimed_address(key) is None:
            raise asked.refused(operation, f"changes external_ids:{key}")
        if not holder.startswith(f"{asked.zone}/"):
            raise asked.refused(operation, f"is about the claim {key} of {holder}")
    return ["map", [[key, holder] for key, holder in found.items()]]


def _monitor(asked: Asked, operation: Operation) -> None:
    before = asked.known.row("Service_Monitor", target(operation))
    row = row_of(operation)
    source = row.get("source_availability_zone", before.get("source_availability_zone"))
    if operation["op"] == "mutate":
        raise asked.refused(operation, "mutates a request")
    if before and before.get("source_availability_zone") != asked.zone:
        answers = operation["op"] == "update" and row.keys() <= {"status"}
        if not answers or before.get("target_availability_zone") != asked.zone:
            raise asked.refused(operation, "is about another zone's request")
    elif (before or row) and source != asked.zone:
        raise asked.refused(operation, "asks in another zone's name")


def _only_columns(asked: Asked, operation: Operation, allowed: set[str]) -> None:
    for column in sorted(row_of(operation).keys() - allowed):
        raise asked.refused(operation, f"writes {column}")


def _mutated_keys(asked: Asked, operation: Operation) -> set[str]:
    if operation["op"] != "mutate":
        raise asked.refused(operation, "does more than changing keys")
    keys: set[str] = set()
    for column, mutator, value in mutations(operation):
        if column != "external_ids" or mutator not in {"insert", "delete"}:
            raise asked.refused(operation, f"mutates {column}")
        keys |= keys_of(value).keys()
    return keys


def _only(rows: Iterable[Operation], one: Operation, *columns: str) -> bool:
    """Whether just one row has a row's values of some columns."""
    values = [one.get(column) for column in columns]
    return [[row.get(column) for column in columns] for row in rows].count(values) == 1


JUDGES: Mapping[str, Callable[[Asked, Operation], Operation | None]] = {
    "Availability_Zone": _zone_row,
    "Encap": _encap,
    "Datapath_Binding": _datapath,
    "IC_SB_Global": _sb_global,
    "IC_NB_Global": _nb_global,
    "Transit_Switch": _transit_switch,
    "Service_Monitor": _monitor,
}
"""By table."""

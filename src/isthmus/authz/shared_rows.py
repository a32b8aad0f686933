"""Rules for rows that several zones write, and for rows whose owner follows from a name.

Called by `rules`. Pure. Each function raises `RefusedError` for what the zone may not do, and
returns the operation to pass on if it differs from the one requested.
"""

from collections.abc import Callable, Iterable, Mapping

from isthmus.authz.database_state import Json, JsonRow, pairs, reference
from isthmus.authz.request import JsonOperation, Request, keys_of, mutations, row_of, target
from isthmus.authz.reservations import check_tunnel_ip
from isthmus.model.bounds import ZONE_CLAIMS
from isthmus.model.external_ids import alive_key, claimed_address, zone_claim
from isthmus.model.ovn_keys import TRANSIT_ROUTER, TRANSIT_SWITCH

_NETWORKS = {TRANSIT_SWITCH: "Transit_Switch", TRANSIT_ROUTER: "Transit_Router"}
_DATAPATH_COLUMNS = {"transit_switch", "tunnel_key", "type", "nb_ic_uuid", "external_ids"}


def _check_zone_row(request: Request, operation: JsonOperation) -> None:
    before = request.state.row("Availability_Zone", target(operation))
    row = row_of(operation)
    if before and before["name"] != request.zone:
        raise request.refused(operation, f"the row belongs to zone {before['name']}")
    if row.get("name", before.get("name", request.zone)) != request.zone:
        raise request.refused(operation, f"the certificate does not allow the name {row['name']}")
    if operation["op"] == "insert" and "name" not in row:
        raise request.refused(operation, "the row has no name")


def _check_encap(request: Request, operation: JsonOperation) -> None:
    if operation["op"] != "insert":
        raise request.refused(operation, "zones may only insert tunnels")
    if row_of(operation).get("gateway_name") not in request.gateways:
        raise request.refused(operation, "the tunnel would belong to another gateway")
    check_tunnel_ip(request, operation)


def _check_datapath(request: Request, operation: JsonOperation) -> None:
    before = request.state.row("Datapath_Binding", target(operation))
    row, rows = row_of(operation), request.state.tables["Datapath_Binding"].values()
    live = request.state.live_networks()
    _require_columns(request, operation, _DATAPATH_COLUMNS)
    _require_network(request, operation, {**before, **row})
    if operation["op"] == "insert":
        if row.get("transit_switch") not in live or "tunnel_key" not in row:
            raise request.refused(operation, "the transit switch does not exist")
        if row["tunnel_key"] not in request.state.tunnel_keys:
            raise request.refused(operation, f"the tunnel key {row['tunnel_key']} is out of range")
    elif operation["op"] == "mutate":
        raise request.refused(operation, "zones may not mutate datapaths")
    elif operation["op"] == "delete":
        name = before.get("transit_switch")
        if name in live and _is_unique(rows, before, "transit_switch", "type"):
            raise request.refused(operation, f"transit switch {name} needs its tunnel key")
    elif "transit_switch" in row:
        raise request.refused(operation, "zones may not rename datapaths")
    elif "tunnel_key" in row and not _may_move(request, row["tunnel_key"], before):
        raise request.refused(operation, "the tunnel key is unique and in range")


def _may_move(request: Request, key: Json, before: JsonRow) -> bool:
    """Whether a datapath needs another key: another one has it too, or it is out of range."""
    valid = request.state.tunnel_keys
    if before.get("tunnel_key") not in valid and key in valid:
        return True
    return not _is_unique(request.state.tables["Datapath_Binding"].values(), before, "tunnel_key")


def _require_network(request: Request, operation: JsonOperation, row: JsonRow) -> None:
    """The reference of newer schemas must be to the network of that name."""
    kind, uuid = row.get("type"), reference(row.get("nb_ic_uuid"))
    if not {"type", "nb_ic_uuid"} & row_of(operation).keys():
        return
    network = request.state.row(_NETWORKS.get(str(kind), "Transit_Switch"), uuid)
    if network.get("name") != row.get("transit_switch"):
        raise request.refused(operation, "nb_ic_uuid refers to another transit switch or router")


def unique_datapath(operation: JsonOperation) -> JsonOperation | None:
    """The wait by which the server refuses a second datapath of a transit switch.

    Two zones may insert the missing datapath at the same moment. The second one must read again,
    as it does when a wait fails. The wait comes last in the transaction and checks its result.

    Returns:
        None if the operation does not insert a datapath.
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


def _check_sb_global(request: Request, operation: JsonOperation) -> None:
    own = {zone_claim(request.zone), alive_key(request.zone)}
    row = row_of(operation)
    if operation["op"] == "insert":
        _require_columns(request, operation, {"external_ids"})
        keys = set(pairs(row.get("external_ids")))
    elif operation["op"] == "update":
        _require_columns(request, operation, {"nb_ic_cfg"})
        keys = set()
    else:
        keys = _mutated_keys(request, operation)
    for key in sorted(keys - own):
        raise request.refused(operation, f"the zone does not own external_ids:{key}")


def _check_nb_global(request: Request, operation: JsonOperation) -> None:
    if operation["op"] not in {"insert", "update"}:
        raise request.refused(operation, "zones may only set sb_ic_cfg")
    _require_columns(request, operation, {"sb_ic_cfg"})


def _check_transit_switch(request: Request, operation: JsonOperation) -> JsonOperation:
    if operation["op"] != "mutate":
        raise request.refused(operation, "zones may only claim addresses")
    _mutated_keys(request, operation)
    row = request.state.row("Transit_Switch", target(operation))
    claims = pairs(row.get("external_ids", ["map", []]))
    passed = [
        [column, mutator, _check_claim(request, operation, mutator, value, claims)]
        for column, mutator, value in mutations(operation)
    ]
    inserted = {key for _, how, (_, found) in passed if how == "insert" for key, _ in found}
    own = {key for key, holder in claims.items() if holder.startswith(f"{request.zone}/")}
    if inserted:
        request.require(ZONE_CLAIMS, len(own | inserted), operation)
    return {**operation, "mutations": passed}


def _check_claim(
    request: Request, operation: JsonOperation, mutator: str, value: Json, claims: Mapping[str, str]
) -> Json:
    """The mutation's value; a deletion names the value, so the key must still be the zone's."""
    if mutator == "insert":
        found = pairs(value)
    else:
        found = {key: claims[key] for key in keys_of(value) if key in claims}
    for key, holder in found.items():
        if claimed_address(key) is None:
            raise request.refused(operation, f"the zone does not own external_ids:{key}")
        if not holder.startswith(f"{request.zone}/"):
            raise request.refused(operation, f"the claim {key} belongs to {holder}")
    return ["map", [[key, holder] for key, holder in found.items()]]


def _check_monitor(request: Request, operation: JsonOperation) -> None:
    before = request.state.row("Service_Monitor", target(operation))
    row = row_of(operation)
    source = row.get("source_availability_zone", before.get("source_availability_zone"))
    if operation["op"] == "mutate":
        raise request.refused(operation, "zones may not mutate service monitors")
    if before and before.get("source_availability_zone") != request.zone:
        answers = operation["op"] == "update" and row.keys() <= {"status"}
        if not answers or before.get("target_availability_zone") != request.zone:
            raise request.refused(operation, "another zone requested the monitor")
    elif (before or row) and source != request.zone:
        raise request.refused(operation, "the request would come from another zone")


def _require_columns(request: Request, operation: JsonOperation, allowed: set[str]) -> None:
    for column in sorted(row_of(operation).keys() - allowed):
        raise request.refused(operation, f"zones may not write column {column}")


def _mutated_keys(request: Request, operation: JsonOperation) -> set[str]:
    if operation["op"] != "mutate":
        raise request.refused(operation, "zones may only mutate external_ids")
    keys: set[str] = set()
    for column, mutator, value in mutations(operation):
        if column != "external_ids" or mutator not in {"insert", "delete"}:
            raise request.refused(operation, f"zones may only mutate external_ids, not {column}")
        keys |= keys_of(value).keys()
    return keys


def _is_unique(rows: Iterable[JsonRow], one: JsonRow, *columns: str) -> bool:
    """Whether exactly one of the rows has the values that `one` has in some columns."""
    values = [one.get(column) for column in columns]
    return [[row.get(column) for column in columns] for row in rows].count(values) == 1


CHECKS: Mapping[str, Callable[[Request, JsonOperation], JsonOperation | None]] = {
    "Availability_Zone": _check_zone_row,
    "Encap": _check_encap,
    "Datapath_Binding": _check_datapath,
    "IC_SB_Global": _check_sb_global,
    "IC_NB_Global": _check_nb_global,
    "Transit_Switch": _check_transit_switch,
    "Service_Monitor": _check_monitor,
}
"""By table."""

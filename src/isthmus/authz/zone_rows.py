"""Rules for rows that refer to the zone that owns them: gateways, port bindings and routes.

Called by `rules`. Pure. Each function raises `RefusedError` for what the zone may not do.
"""

import re

from isthmus.authz.database_state import DatabaseState, JsonRow, elements, port_addresses, reference
from isthmus.authz.request import (
    AuthorizationPolicy,
    JsonOperation,
    Request,
    mutations,
    row_of,
    target,
)
from isthmus.authz.reservations import check_gateway_name
from isthmus.model.prefixes import Network, is_inside, parse_address, parse_interface, parse_network
from isthmus.model.text import quoted

_MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")


def check_owned(request: Request, operation: JsonOperation) -> None:
    """Check an operation on a row that has an owner."""
    table, row = str(operation["table"]), row_of(operation)
    before = request.state.row(table, target(operation))
    if before and not request.is_own(before):
        owner = request.state.zone_of(before)
        raise request.refused(operation, f"the row belongs to zone {owner}")
    for column, _, _ in mutations(operation):
        if column != "external_ids" and not (table == "Gateway" and column == "encaps"):
            raise request.refused(operation, f"zones may not mutate column {column}")
    if operation["op"] == "insert" or "availability_zone" in row:
        value = row.get("availability_zone")
        own = request.is_own({"availability_zone": value}) or reference(value) in request.own_names
        if not own:
            raise request.refused(operation, "the row would belong to another zone")
    {"Gateway": _check_gateway, "Port_Binding": _check_port, "Route": _check_route}[table](
        request, operation, {**before, **row}
    )


def _check_gateway(request: Request, operation: JsonOperation, _row: JsonRow) -> None:
    check_gateway_name(request, operation)
    values = [row_of(operation).get("encaps", ["set", []])]
    values += [value for column, _, value in mutations(operation) if column == "encaps"]
    for value in values:
        for element in elements(value):
            encap = request.state.row("Encap", reference(element))
            new = isinstance(element, list) and element[:1] == ["named-uuid"]
            if not new and encap.get("gateway_name") not in request.gateways:
                raise request.refused(operation, "the tunnel belongs to another gateway")


def _require_own_name(request: Request, operation: JsonOperation) -> None:
    """Kube-OVN and Isthmus name the router port of a zone SWITCH-ZONE, and names are unique."""
    name = str(row_of(operation).get("logical_port", ""))
    cuts = [index for index, character in enumerate(name) if character == "-"]
    zones = [name[cut + 1 :] for cut in cuts if name[:cut] in request.live_networks]
    if zones and request.zone not in zones:
        why = f"the name {quoted(name)} belongs to zone {zones[0]}; name the port SWITCH-ZONE"
        raise request.refused(operation, why)


def _check_port(request: Request, operation: JsonOperation, row: JsonRow) -> None:
    _require_own_name(request, operation)
    new = row_of(operation).get("transit_switch")
    if isinstance(new, str) and new not in request.live_networks:
        raise request.refused(operation, "the transit switch does not exist")
    if not {"address", "transit_switch"} & row_of(operation).keys():
        return
    text, switch = row.get("address", ""), row.get("transit_switch")
    if not isinstance(switch, str) or not isinstance(text, str):
        raise request.refused(operation, "the port has no transit switch or address")
    # OVN accepts spellings that we do not parse; they could hide another zone's address.
    mac, *words = text.split() or [""]
    if text and not (_MAC.fullmatch(mac) and all(map(parse_interface, words))):
        raise request.refused(operation, f"the address {quoted(text)} is not MAC IP/LEN")
    others = [port for port in request.state.ports_on(switch) if not request.is_own(port)]
    for taken in sorted(port_addresses([row]) & port_addresses(others), key=str):
        raise request.refused(operation, f"another zone's port has the address {taken}")
    for address in sorted(port_addresses([row]), key=str):
        # The owner's port may be missing for a moment; ovn-ic may also leave routes behind.
        if not all(map(request.is_own, request.state.routes_to(switch, address))):
            raise request.refused(operation, f"another zone has routes with next hop {address}")
    macs = (str(row.get("address", "")).partition(" ")[0].lower() for row in others)
    if mac and mac.lower() in macs:
        raise request.refused(operation, f"another zone's port has the MAC {mac}")


def _check_route(request: Request, operation: JsonOperation, row: JsonRow) -> None:
    if not {"ip_prefix", "nexthop", "transit_switch"} & row_of(operation).keys():
        return
    prefix = parse_network(str(row.get("ip_prefix")))
    nexthop = parse_address(str(row.get("nexthop")))
    if prefix is None or nexthop is None:
        raise request.refused(operation, "ip_prefix or nexthop is not valid")
    switch = str(row.get("transit_switch"))
    if nexthop not in request.nexthops(switch):
        why = f"the next hop {nexthop} is not the address of one of its ports on {switch}"
        raise request.refused(operation, why)
    _require_own_prefix(request, operation, prefix)


def _require_own_prefix(request: Request, operation: JsonOperation, prefix: Network) -> None:
    allowed = request.policy.prefixes.get(request.zone)
    if allowed is not None:
        if not any(is_inside(prefix, one) for one in allowed):
            raise request.refused(operation, f"{prefix} is outside the zone's allowed prefixes")
        return
    for zone, reserved in request.policy.prefixes.items():
        if any(is_inside(prefix, one) for one in reserved):
            raise request.refused(operation, f"{prefix} is reserved for zone {zone}")
    if why := route_conflict(request.state, request.policy, request.zone, prefix):
        raise request.refused(operation, why)


def route_conflict(
    state: DatabaseState,
    policy: AuthorizationPolicy,
    zone: str,
    prefix: Network,
    itself: JsonRow | None = None,
) -> str:
    """Whether a zone's route would take packets away from another zone.

    The longest prefix that contains `prefix` decides where the packets go now. A zone may advertise
    parts of its own prefix, whatever wider prefix another zone advertises.

    Returns:
        the conflict, to which `itself`, the route if it is committed, does not count; empty if the
        zone has these packets already, or the policy allows the route.
    """
    declared = policy.prefixes.get(zone, ())
    if any(is_inside(prefix, one) for one in (*declared, *policy.shared)):
        return ""
    longest = None
    for route in state.routes_over(prefix):
        if route is itself:
            continue
        over = parse_network(str(route["ip_prefix"]))
        if longest is not None and over != longest:
            break
        longest, owner = over, state.zone_of(route)
        if owner != zone:
            return f"zone {owner} advertises {over}, which contains {prefix}"
    return ""

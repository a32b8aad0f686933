"""What a zone may do to rows that say whose they are: gateways, port bindings and routes.

Called by `guard_rules`. Pure. Each function raises `RefusedError` for what may not be done.
"""

import re

from isthmus.authz.database_state import Known, Wire, elements, port_addresses, reference
from isthmus.authz.request import Asked, Operation, Policy, mutations, row_of, target
from isthmus.model.prefixes import (
    Network,
    is_inside,
    parse_address,
    parse_interface,
    parse_network,
)

_MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")


def owned(asked: Asked, operation: Operation) -> None:
    """Judge an operation on a row with an owner."""
    table, row = str(operation["table"]), row_of(operation)
    before = asked.known.row(table, target(operation))
    if before and not asked.is_mine(before):
        owner = asked.known.zone_of(before)
        raise asked.refused(operation, f"is about a row of zone {owner}")
    for column, _, _ in mutations(operation):
        if column != "external_ids" and not (table == "Gateway" and column == "encaps"):
            raise asked.refused(operation, f"mutates {column}")
    if operation["op"] == "insert" or "availability_zone" in row:
        _names_own_zone(asked, operation, row.get("availability_zone"))
    {"Gateway": _gateway, "Port_Binding": _port, "Route": _route}[table](
        asked, operation, {**before, **row}
    )


def _names_own_zone(asked: Asked, operation: Operation, value: Wire) -> None:
    if not asked.is_mine({"availability_zone": value}) and reference(value) not in asked.own_names:
        raise asked.refused(operation, "makes a row of another zone")


def _gateway(asked: Asked, operation: Operation, _left: Operation) -> None:
    values = [row_of(operation).get("encaps", ["set", []])]
    values += [value for column, _, value in mutations(operation) if column == "encaps"]
    for value in values:
        for element in elements(value):
            encap = asked.known.row("Encap", reference(element))
            new = isinstance(element, list) and element[:1] == ["named-uuid"]
            if not new and encap.get("gateway_name") not in asked.gateways:
                raise asked.refused(operation, "uses another gateway's tunnel")


def _port(asked: Asked, operation: Operation, left: Operation) -> None:
    if not {"address", "transit_switch"} & row_of(operation).keys():
        return
    text, switch = left.get("address", ""), left.get("transit_switch")
    if not isinstance(switch, str) or not isinstance(text, str):
        raise asked.refused(operation, "has no transit switch or address")
    # OVN reads some spellings that are not read here; they could hide another's address.
    mac, *words = text.split() or [""]
    if text and not (_MAC.fullmatch(mac) and all(map(parse_interface, words))):
        raise asked.refused(operation, f"has the address {text!r}, which is not MAC IP/LEN")
    others = [row for row in asked.known.ports_on(switch) if not asked.is_mine(row)]
    for taken in sorted(port_addresses([left]) & port_addresses(others), key=str):
        raise asked.refused(operation, f"takes the address {taken} of another zone's port")
    for address in sorted(port_addresses([left]), key=str):
        # A port may be away for a moment, or ovn-ic may have left routes behind it.
        if not all(map(asked.is_mine, asked.known.routes_to(switch, address))):
            why = f"takes the address {address}, to which another zone's routes lead"
            raise asked.refused(operation, why)
    if mac and mac.lower() in {_mac(row) for row in others}:
        raise asked.refused(operation, f"takes the MAC {mac} of another zone's port")


def _route(asked: Asked, operation: Operation, left: Operation) -> None:
    if not {"ip_prefix", "nexthop", "transit_switch"} & row_of(operation).keys():
        return
    prefix = parse_network(str(left.get("ip_prefix")))
    nexthop = parse_address(str(left.get("nexthop")))
    if prefix is None or nexthop is None:
        raise asked.refused(operation, "has no valid ip_prefix and nexthop")
    switch = str(left.get("transit_switch"))
    if nexthop not in asked.nexthops(switch):
        why = f"has the next hop {nexthop}, which is no port of the zone on {switch}"
        raise asked.refused(operation, why)
    _may_announce(asked, operation, prefix)


def _may_announce(asked: Asked, operation: Operation, prefix: Network) -> None:
    allowed = asked.policy.prefixes.get(asked.zone)
    if allowed is not None:
        if not any(is_inside(prefix, one) for one in allowed):
            raise asked.refused(operation, f"announces {prefix}, not among its prefixes")
        return
    for zone, reserved in asked.policy.prefixes.items():
        if any(is_inside(prefix, one) for one in reserved):
            raise asked.refused(operation, f"announces {prefix}, which is kept for {zone}")
    if why := outdone(asked.known, asked.policy, asked.zone, prefix):
        raise asked.refused(operation, why)


def outdone(
    known: Known, policy: Policy, zone: str, prefix: Network, itself: Operation | None = None
) -> str:
    """Whether a zone's route takes packets from another zone's.

    The longest route decides where they go now: within its own prefix a zone may announce parts,
    whatever wider prefix another zone has announced.

    Args:
        known: the committed rows.
        policy: the operator's.
        zone, prefix: whose route, and to where.
        itself: the route, if it is among the committed ones.

    Returns:
        what it does, for people; empty if packets go to it already, or the policy lets it.
    """
    declared = policy.prefixes.get(zone, ())
    if any(is_inside(prefix, one) for one in (*declared, *policy.shared)):
        return ""
    longest = None
    for route in known.routes_over(prefix):
        if route is itself:
            continue
        over = parse_network(str(route["ip_prefix"]))
        if longest is not None and over != longest:
            break
        longest, owner = over, known.zone_of(route)
        if owner != zone:
            return f"announces {prefix}: zone {owner} has {over}"
    return ""


def _mac(row: Operation) -> str:
    return str(row.get("address", "")).partition(" ")[0].lower()

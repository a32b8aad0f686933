"""Names and tunnel IPs of gateways that the operator has reserved for zones.

Called by `zone_rows` and `shared_rows`. Pure. A zone that has not registered yet has no rows, so
only the operator can say what is its own. Invariant: a zone with reservations uses only these, and
no other zone uses them.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from isthmus.authz.database_state import gateway_address
from isthmus.authz.request import JsonOperation, Request, row_of
from isthmus.model.prefixes import Network
from isthmus.model.text import quoted

T = TypeVar("T")


def check_gateway_name(request: Request, operation: JsonOperation) -> None:
    """Check the chassis name of a gateway.

    Raises:
        RefusedError: it is reserved for another zone, or not for this one.
    """
    row = row_of(operation)
    if operation["op"] == "insert" or "name" in row:
        name = str(row.get("name", ""))
        held = request.policy.gateways
        if why := _conflict(request.zone, held, lambda names: name in names):
            raise request.refused(operation, f"the chassis name {quoted(name)} {why}")


def check_tunnel_ip(request: Request, operation: JsonOperation) -> None:
    """Check the IP address of a tunnel.

    The server compares type and spelling as well, so it would accept another zone's address with
    another one of either.

    Raises:
        RefusedError: it is invalid, another zone's, reserved for another zone, or not for this one.
    """
    text = str(row_of(operation).get("ip", ""))
    address = gateway_address(text)
    if address is None:
        raise request.refused(operation, f"the tunnel IP {quoted(text)} is not an IP address")
    for name in sorted(request.state.gateways_at(address) - request.gateways):
        owner = request.state.zone_of_gateway(name) or "no zone"
        raise request.refused(
            operation, f"gateway {name} of zone {owner} has the tunnel IP {address}"
        )

    def contain(networks: tuple[Network, ...]) -> bool:
        return any(address.version == one.version and address in one for one in networks)

    if why := _conflict(request.zone, request.policy.tunnels, contain):
        raise request.refused(operation, f"the tunnel IP {address} {why}")


def _conflict(zone: str, reserved: Mapping[str, T], includes: Callable[[T], bool]) -> str:
    """Why a zone may not use something; empty if it may."""
    if zone in reserved:
        return "" if includes(reserved[zone]) else "is not among those reserved for the zone"
    holder = next((other for other, held in reserved.items() if includes(held)), "")
    return f"is reserved for zone {holder}" if holder else ""

"""Bound how many rows a zone has in each table.

Called by the authorizer. Pure: the time is an argument. Rows that passed a moment ago count, too,
although the monitor has not shown them yet.
"""

from collections import Counter
from collections.abc import Mapping

from isthmus.authz.database_state import DatabaseState
from isthmus.authz.request import OWNED, AuthorizationPolicy, JsonOperation, Request
from isthmus.model.bounds import (
    ZONE_CHECKS,
    ZONE_GATEWAYS,
    ZONE_PORTS,
    ZONE_ROUTES,
    ZONE_TUNNELS,
    Bound,
)

QUOTAS: Mapping[str, Bound] = {
    "Encap": ZONE_TUNNELS,
    "Gateway": ZONE_GATEWAYS,
    "Port_Binding": ZONE_PORTS,
    "Route": ZONE_ROUTES,
    "Service_Monitor": ZONE_CHECKS,
}
"""By table."""

_COMMIT_TIME = 2.0
"""Seconds within which a transaction is committed and shown, or has failed."""


class RowQuotas:
    """The rows of all zones.

    Args:
        state: the committed rows.
        policy: the operator's.
    """

    def __init__(self, state: DatabaseState, policy: AuthorizationPolicy) -> None:
        self._state, self._policy = state, policy
        self._expected: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, operations: list[JsonOperation], zone: str, now: float) -> None:
        """Count the rows that a transaction inserts and deletes.

        Args:
            operations: checked ones, so the rows are the zone's.
            zone: the name in its certificate.
            now: a monotonic time, in seconds.

        Raises:
            RefusedError: the zone would have too many rows.
        """
        inserted = Counter(str(one["table"]) for one in operations if one["op"] == "insert")
        deleted = Counter(str(one["table"]) for one in operations if one["op"] == "delete")
        request = Request(operations, zone, self._state, self._policy)
        for table in inserted.keys() & QUOTAS.keys():
            number = self._number(table, zone, now) + inserted[table] - deleted[table]
            request.require(QUOTAS[table], number, {"op": "insert", "table": table})
            self._expected[table, zone] = now + _COMMIT_TIME, number

    def used(self, zone: str) -> dict[str, int]:
        """The rows of a zone that are committed, by name of the bound."""
        return {bound.name: self._committed(table, zone) for table, bound in QUOTAS.items()}

    def _number(self, table: str, zone: str, now: float) -> int:
        until, expected = self._expected.get((table, zone), (now, 0))
        return max(self._committed(table, zone), expected if now < until else 0)

    def _committed(self, table: str, zone: str) -> int:
        request, owners = Request((), zone, self._state, self._policy), [zone]
        if table == "Encap":
            owners = sorted(request.gateways)
        elif table in OWNED:
            owners = [request.uuid]
        numbers = self._state.row_numbers
        return sum(numbers.get((table, owner), 0) for owner in owners if owner)

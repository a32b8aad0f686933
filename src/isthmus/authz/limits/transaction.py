"""Bound what one transaction of a zone contains, operation by operation.

Called by `rules`, and by `session` for what zones read about the server. Pure. Invariant: the
answer to a transaction that passes is at most as large as the database, since it reads each table
at most once; and what it stores is limited row by row.
"""

import json
from collections.abc import Mapping

from isthmus.authz.request import JsonOperation, Request, mutations, target
from isthmus.model.bounds import (
    ZONE_CLAUSES,
    ZONE_COMMENT,
    ZONE_OPERATIONS,
    ZONE_ROW,
    ZONE_SCANS,
)

_MEMBERS: Mapping[str, frozenset[str]] = {
    "insert": frozenset({"row", "uuid-name"}),
    "update": frozenset({"where", "row"}),
    "mutate": frozenset({"where", "mutations"}),
    "delete": frozenset({"where"}),
    "select": frozenset({"where", "columns"}),
    "wait": frozenset({"where", "columns", "until", "rows", "timeout"}),
    "comment": frozenset({"comment"}),
    "commit": frozenset({"durable"}),
}
"""The members of operations in addition to `op` and `table` (RFC 7047, 5.2)."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class TransactionLimits:
    """What a transaction has used of its limits so far.

    Args:
        request: the transaction.

    Raises:
        RefusedError: it has too many operations.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._comments = self._scans = 0
        self._selected: set[str] = set()
        request.require(ZONE_OPERATIONS, len(request.operations), {})

    def check(self, operation: JsonOperation) -> None:
        """Count the next operation.

        Raises:
            RefusedError: it is too large, or one too many of its kind.
            ValueError, TypeError: it is malformed.
        """
        op = str(operation.get("op"))
        for member in sorted(operation.keys() - {"op", "table"} - _MEMBERS.get(op, frozenset())):
            raise self._request.refused(operation, f"zones may not use its member {member}")
        self._comments += len(operation.get("comment", ""))
        self._request.require(ZONE_COMMENT, self._comments, operation)
        self._request.require(ZONE_CLAUSES, len(operation.get("where", [])), operation)
        if op == "select" or (op == "wait" and not target(operation)):
            self._check_scan(op, operation)
        if stored := operation.get("row") or operation.get("mutations"):
            self._request.require(ZONE_ROW, len(_encode(stored)) + self._kept(operation), operation)

    def _check_scan(self, op: str, operation: JsonOperation) -> None:
        self._scans += 1
        self._request.require(ZONE_SCANS, self._scans, operation)
        table = str(operation.get("table"))
        if op == "select" and table in self._selected:
            raise self._request.refused(operation, "the transaction selects the table twice")
        self._selected.add(table)

    def _kept(self, operation: JsonOperation) -> int:
        """The characters of `external_ids` that a mutation adds to."""
        if not any(how == "insert" for _, how, _ in mutations(operation)):
            return 0
        return self._request.state.row_sizes.get(target(operation), 0)

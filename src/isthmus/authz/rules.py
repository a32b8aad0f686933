"""The rules by which a zone may write to the IC databases: ARCHITECTURE.md's ownership table.

The authorizer calls them for every transaction. Pure. Invariant: what is not expressly allowed is
refused, and operations may select rows only by `_uuid ==`, as `ovn-ic` and Isthmus do, so that the
row that was checked is the row that is written.
"""

from collections.abc import Iterator, Sequence

from isthmus.authz.database_state import DatabaseState, Json
from isthmus.authz.limits.transaction import TransactionLimits
from isthmus.authz.request import (
    OWNED,
    AuthorizationPolicy,
    JsonOperation,
    RefusedError,
    Request,
    row_of,
    target,
    target_value,
)
from isthmus.authz.shared_rows import CHECKS, unique_datapath
from isthmus.authz.zone_rows import check_owned
from isthmus.model.text import failure_text

_HARMLESS = frozenset({"comment", "select", "wait", "commit", "abort"})


def checked(
    operations: Sequence[Json], zone: str, state: DatabaseState, policy: AuthorizationPolicy
) -> Iterator[JsonOperation]:
    """Check a transaction, one operation after the other.

    The arguments are those of `Request`. The caller may serve others in between; the committed
    rows may change between two operations.

    Yields:
        the operations to pass on: those of the zone, with conditions by which the server verifies
        the owner of each row, and further operations that the server must check.

    Raises:
        RefusedError: one of them is not allowed, so none may be passed on.
    """
    if not zone or not all(isinstance(operation, dict) for operation in operations):
        raise RefusedError(zone, "", "", "an operation is not an object")
    request = Request(operations, zone, state, policy)
    try:
        limits, changed = TransactionLimits(request), set[str]()
        for operation in operations:
            _require_one_change_per_row(request, operation, changed)
            limits.check(operation)
            yield request.with_conditions(_check(request, operation))
        yield from filter(None, map(unique_datapath, operations))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The server might accept what these rules cannot parse, so it must not be passed on.
        raise RefusedError(
            zone, "", "", f"an operation is malformed: {failure_text(error)}"
        ) from error


def _require_one_change_per_row(
    request: Request, operation: JsonOperation, changed: set[str]
) -> None:
    """Each operation is checked by its own result, which a second one could change."""
    if operation.get("op") == "insert" and operation.get("table") == "Datapath_Binding":
        datapath = str([row_of(operation).get(key) for key in ("transit_switch", "type")])
        if datapath in changed:
            raise request.refused(operation, "the transaction inserts the datapath twice")
        changed.add(datapath)
    if operation.get("op") in {"update", "delete"}:
        if target_value(operation)[:1] == ["named-uuid"]:
            raise request.refused(operation, "the same transaction inserts the row")
        if target(operation) in changed:
            raise request.refused(operation, "the transaction changes the row twice")
        changed.add(target(operation))


def _check(request: Request, operation: JsonOperation) -> JsonOperation:
    op, table = operation.get("op"), operation.get("table")
    if op in _HARMLESS:
        # The server would carry out a waiting transaction later, when it may not be allowed.
        return {**operation, "timeout": 0} if op == "wait" else operation
    if op in {"update", "mutate", "delete"}:
        if not target(operation):
            raise request.refused(operation, "rows must be selected by exactly one _uuid")
    elif op != "insert":
        raise request.refused(operation, "zones may not use this operation")
    if table in OWNED:
        check_owned(request, operation)
        return operation
    check_table = CHECKS.get(str(table))
    if check_table is None:
        raise request.refused(operation, "zones may not write to this table")
    return check_table(request, operation) or operation

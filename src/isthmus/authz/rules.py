"""Whether a zone may do what it asks of the IC databases: ARCHITECTURE.md's table of ownership.

Called by `guard` with every transaction. Pure. Invariant: what is not expressly allowed is
refused, and operations are named by `_uuid ==` only, as `ovn-ic` and Isthmus name them, so that
what is judged is what is written.
"""

from collections.abc import Iterator, Sequence

from isthmus.authz.database_state import Known, Wire
from isthmus.authz.request import (
    OWNED,
    Asked,
    Operation,
    Policy,
    RefusedError,
    target,
    target_value,
)
from isthmus.authz.shared_rows import JUDGES, unique_datapath
from isthmus.authz.zone_rows import owned

HARMLESS = frozenset({"comment", "select", "wait", "commit", "abort"})


def check(operations: Sequence[Wire], zone: str, known: Known, policy: Policy) -> list[Operation]:
    """Judge a transaction.

    Args:
        operations: as they came in `transact`, after the database's name.
        zone: the name in the sender's certificate.
        known: the committed rows.
        policy: the operator's.

    Returns:
        the operations to pass on: as asked, with conditions by which the server itself looks whose
        a row or a key is; and after them what else it is to make sure of.

    Raises:
        RefusedError: one of them is not allowed; none may be passed on.
    """
    return list(judged(operations, zone, known, policy))


def judged(
    operations: Sequence[Wire], zone: str, known: Known, policy: Policy
) -> Iterator[Operation]:
    """The same as `check`, one operation after the other, for those who have others to serve too.

    The committed rows may change between two of them, like those of a zone that is served first.

    Raises:
        RefusedError: see `check`.
    """
    if not zone or not all(isinstance(operation, dict) for operation in operations):
        raise RefusedError(zone, "", "", "send an operation that is no object")
    asked = Asked(operations, zone, known, policy)
    try:
        _one_change_each(asked)
        for operation in operations:
            yield asked.bound(_judge(asked, operation))
        yield from filter(None, map(unique_datapath, operations))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The server might make sense of what this does not: it is not passed on.
        raise RefusedError(zone, "", "", f"send a malformed operation: {error}") from error


def _one_change_each(asked: Asked) -> None:
    """A row is judged by what one operation makes of it: a second one could take that back."""
    seen: set[str] = set()
    for operation in asked.operations:
        if operation.get("op") in {"update", "delete"}:
            if target_value(operation)[:1] == ["named-uuid"]:
                raise asked.refused(operation, "changes a row that it makes")
            if target(operation) in seen:
                raise asked.refused(operation, "changes a row twice")
            seen.add(target(operation))


def _judge(asked: Asked, operation: Operation) -> Operation:
    op, table = operation.get("op"), operation.get("table")
    if op in HARMLESS:
        # One that is kept waiting would be carried out when what was judged is so no more.
        return {**operation, "timeout": 0} if op == "wait" else operation
    if op == "insert":
        if "uuid" in operation:
            raise asked.refused(operation, "chooses the UUID itself")
    elif op in {"update", "mutate", "delete"}:
        if not target(operation):
            raise asked.refused(operation, "names its rows otherwise than by one _uuid")
    else:
        raise asked.refused(operation, "is no operation for zones")
    if table in OWNED:
        owned(asked, operation)
        return operation
    judge = JUDGES.get(str(table))
    if judge is None:
        raise asked.refused(operation, "is about a table that zones do not write")
    return judge(asked, operation) or operation

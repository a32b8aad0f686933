"""Combine mutations of the same row before a transaction is encoded. Pure; used by the codec.

Each reconciled key produces its own mutation, e.g. of `Logical_Router.static_routes`, and a batch
may contain a thousand for one row. The server processes the whole column for each of them, so one
equivalent operation costs the server, the connection and the encoder far less.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from isthmus.model.operations import Insert, Mutate, Operation
from isthmus.model.rows import Row, RowId

Mutation: TypeAlias = tuple[str, Literal["insert", "delete"], Any]


def coalesce(operations: Iterable[Operation]) -> list[Operation]:
    """The same transaction with fewer operations.

    A mutation moves to the position of the next mutation of its row, past operations on other rows
    only. That changes nothing: an operation depends on others only through the same row, and
    references are checked after the last operation (RFC 7047, section 4.1.3).
    """
    result: list[Operation | None] = []
    pending: dict[tuple[type[Row], RowId], tuple[int, list[Mutation]]] = {}
    for operation in operations:
        if isinstance(operation, Mutate):
            row = operation.table, operation.uuid
            position, mutations = pending.get(row, (len(result), []))
            pending[row] = len(result), mutations
            mutations += operation.mutations
            if position < len(result):
                result[position] = None
        elif not isinstance(operation, Insert):
            _flush(result, pending, operation.table, operation.uuid)
        result.append(operation)
    for table, uuid in tuple(pending):
        _flush(result, pending, table, uuid)
    return [operation for operation in result if operation is not None]


def _flush(
    result: list[Operation | None],
    pending: dict[tuple[type[Row], RowId], tuple[int, list[Mutation]]],
    table: type[Row],
    uuid: RowId,
) -> None:
    """Put the collected mutations of a row at the position of the last one."""
    position, mutations = pending.pop((table, uuid), (0, []))
    if mutations:
        result[position] = Mutate(table, uuid, _combined(mutations))


def _combined(mutations: Iterable[Mutation]) -> tuple[Mutation, ...]:
    """Mutations in their order; neighbours with the same effect on the same set are combined."""
    combined: list[tuple[str, Literal["insert", "delete"], list[Any]]] = []
    for column, how, value in mutations:
        if combined and combined[-1][:2] == (column, how) and _are_sets(combined[-1][2][0], value):
            combined[-1][2].append(value)
        else:
            combined.append((column, how, [value]))
    return tuple((column, how, _union(values)) for column, how, values in combined)


def _are_sets(*values: Any) -> bool:
    # Not for maps: a key that is inserted twice keeps its first value.
    return all(isinstance(value, (frozenset, tuple)) for value in values)


def _union(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(dict.fromkeys(e for v in values for e in v))

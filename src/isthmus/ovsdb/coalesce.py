"""Joins mutations of the same row before a transaction is encoded. Pure; used by the codec.

Each reconciled key asks for its own mutation, say of `Logical_Router.static_routes`; a batch
holds a thousand of them for one row. The server works through that column for each, so one
operation that says the same costs it, the connection and the encoder far less.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from isthmus.model.operations import Insert, Mutate, Operation
from isthmus.model.rows import Row, RowId

Mutation: TypeAlias = tuple[str, Literal["insert", "delete"], Any]


def merge(operations: Iterable[Operation]) -> list[Operation]:
    """The same transaction with fewer operations.

    A mutation moves back to where the next mutation of its row stood, past operations on other
    rows alone. None of those can tell: operations see one another only by what they do to the
    same row, and references are checked when all is done (RFC 7047, section 4.1.3).
    """
    merged: list[Operation | None] = []
    pending: dict[tuple[type[Row], RowId], tuple[int, list[Mutation]]] = {}
    for operation in operations:
        if isinstance(operation, Mutate):
            row = operation.table, operation.uuid
            place, mutations = pending.get(row, (len(merged), []))
            pending[row] = len(merged), mutations
            mutations += operation.mutations
            if place < len(merged):
                merged[place] = None
        elif not isinstance(operation, Insert):
            _settle(merged, pending, operation.table, operation.uuid)
        merged.append(operation)
    for table, uuid in tuple(pending):
        _settle(merged, pending, table, uuid)
    return [operation for operation in merged if operation is not None]


def _settle(
    merged: list[Operation | None],
    pending: dict[tuple[type[Row], RowId], tuple[int, list[Mutation]]],
    table: type[Row],
    uuid: RowId,
) -> None:
    """Put the gathered mutations of a row in the place of the last."""
    place, mutations = pending.pop((table, uuid), (0, []))
    if mutations:
        merged[place] = Mutate(table, uuid, _joined(mutations))


def _joined(mutations: Iterable[Mutation]) -> tuple[Mutation, ...]:
    """Mutations in their order; neighbours that do the same to the same set are one."""
    joined: list[tuple[str, Literal["insert", "delete"], list[Any]]] = []
    for column, how, value in mutations:
        if joined and joined[-1][:2] == (column, how) and _are_sets(joined[-1][2][0], value):
            joined[-1][2].append(value)
        else:
            joined.append((column, how, [value]))
    return tuple((column, how, _union(values)) for column, how, values in joined)


def _are_sets(*values: Any) -> bool:
    # Maps stay apart: a key that is inserted again keeps its first value.
    return all(isinstance(value, (frozenset, tuple)) for value in values)


def _union(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(dict.fromkeys(e for v in values for e in v))

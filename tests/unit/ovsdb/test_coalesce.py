"""Combining mutations: fewer operations, the same effect."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.operations import Delete, Insert, Mutate, NewRef, Operation, Ref, Update, Wait
from isthmus.model.rows import LogicalRouter, LogicalRouterStaticRoute, LogicalSwitch, RowId
from isthmus.ovsdb.coalesce import coalesce

ONE, TWO = RowId("11111111-1111-4111-8111-111111111111"), RowId("2")


def insert(uuid: RowId, *elements: object) -> Mutate:
    """A mutation that adds to a router's static routes."""
    return Mutate(LogicalRouter, uuid, (("static_routes", "insert", frozenset(elements)),))  # type: ignore[arg-type]


def test_many_additions_become_one_operation() -> None:
    """A batch of learned routes mutates its router once, after the inserts of all routes."""
    refs = [NewRef() for _ in range(3)]
    operations: list[Operation] = []
    for ref in refs:
        operations += [Insert(LogicalRouterStaticRoute, {}, ref), insert(ONE, ref)]
    *inserts, mutate = coalesce(operations)
    assert inserts == operations[::2]
    assert mutate == Mutate(LogicalRouter, ONE, (("static_routes", "insert", tuple(refs)),))


def test_rows_and_tables_are_kept_apart() -> None:
    """The same UUID in another table, or another row, is another object."""
    switch = Mutate(LogicalSwitch, ONE, (("ports", "insert", frozenset({Ref(TWO)})),))
    operations = [insert(ONE, Ref(TWO)), switch, insert(TWO, Ref(ONE))]
    assert coalesce(operations) == operations


def test_mutations_do_not_pass_other_operations_on_their_row() -> None:
    """Mutations do not move past an update, deletion or condition on their row."""
    for barrier in (
        Update(LogicalRouter, ONE, {"enabled": True}),
        Delete(LogicalRouter, ONE),
        Wait(LogicalRouter, ONE, {"name": "r"}),
    ):
        operations = [insert(ONE, Ref(ONE)), barrier, insert(ONE, Ref(TWO))]
        assert coalesce(operations) == operations


def test_maps_are_not_joined() -> None:
    """Of two values inserted under one key the first stays, so the order must stay."""
    first, second = (
        Mutate(LogicalRouter, ONE, (("options", "insert", {"key": value}),)) for value in "ab"
    )
    (merged,) = coalesce([first, second])
    assert merged == Mutate(LogicalRouter, ONE, (*first.mutations, *second.mutations))


ELEMENTS = st.frozensets(st.sampled_from("abc"), min_size=1)
MUTATIONS = st.tuples(st.just("static_routes"), st.sampled_from(["insert", "delete"]), ELEMENTS)
OPERATIONS = st.builds(
    Mutate,
    st.sampled_from([LogicalRouter, LogicalSwitch]),
    st.sampled_from([ONE, TWO]),
    st.lists(MUTATIONS, min_size=1, max_size=3).map(tuple),
) | st.builds(
    Update, st.just(LogicalRouter), st.just(ONE), st.just({"static_routes": frozenset({"a"})})
)


def effect(operations: list[Operation]) -> dict[object, set[str]]:
    """The contents of a server's rows after the operations."""
    rows: dict[object, set[str]] = {}
    for operation in operations:
        assert isinstance(operation, (Mutate, Update))
        held = rows.setdefault((operation.table, operation.uuid), set())
        if isinstance(operation, Update):
            held.clear()
            held.add("a")
        else:
            for _column, how, value in operation.mutations:
                elements: set[str] = set(value)  # type: ignore[arg-type]
                held |= elements if how == "insert" else set()
                held -= elements if how == "delete" else set()
    return rows


@given(st.lists(OPERATIONS, max_size=12))
def test_the_effect_is_the_same(operations: list[Operation]) -> None:
    """For random mutations, every row has the same contents at the end."""
    merged = coalesce(operations)
    assert effect(merged) == effect(operations)
    assert len(merged) <= len(operations)

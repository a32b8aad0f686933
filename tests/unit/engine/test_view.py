"""The view: indexes, relations, tables, and the changes that would empty it."""

from collections.abc import Iterable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    IC_ROUTES_BY_PREFIX,
    IC_ROUTES_BY_ZONE,
    IC_ROUTES_RANKED,
    ROUTER_ROUTES,
    IndexOf,
    rank_of,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcRoute,
    LogicalRouter,
    LogicalRouterStaticRoute,
    NbGlobal,
    Row,
    RowId,
)

ONE, TWO, THREE = RowId("1"), RowId("2"), RowId("3")
ROUTES = "static_routes"


def router(uuid: RowId, name: str = "r") -> LogicalRouter:
    """A router's row."""
    return LogicalRouter(uuid=uuid, name=name)


def words(row: LogicalRouter) -> Iterable[str]:
    """The words of a router's name: none, one or several keys, perhaps one of them twice."""
    return row.name.split()


BY_WORD = IndexOf(LogicalRouter, words)


def held(*uuids: RowId) -> dict[str, frozenset[RowId]]:
    """Static routes that came or went."""
    return {ROUTES: frozenset(uuids)}


def test_an_index_has_a_row_under_each_of_its_keys() -> None:
    """A row is found under every key, and under none that it does not have."""
    view = View()
    index = view.index(BY_WORD)
    view.apply(Change(None, router(ONE, "a b b")))
    view.apply(Change(None, router(TWO, "b c")))
    view.apply(Change(None, router(THREE, "")))
    assert [row.uuid for row in index.all("b")] == [ONE, TWO]
    assert [index.one(key).uuid for key in "ac"] == [ONE, TWO]  # type: ignore[union-attr]
    assert index.one("d") is None
    assert set(index.keys()) == {"a", "b", "c"}


def test_an_index_follows_keys_that_change() -> None:
    """A changed row is found under its new keys only; a key without rows is gone."""
    view = View()
    index = view.index(BY_WORD)
    view.apply(Change(None, router(ONE, "a b b")))
    view.apply(Change(None, router(TWO, "b")))
    view.apply(Change(router(ONE, "a b b"), router(ONE, "c")))
    assert [row.uuid for row in index.all("b")] == [TWO]
    assert set(index.keys()) == {"b", "c"}
    view.apply(Change(router(TWO, "b"), None))
    assert set(index.keys()) == {"c"}
    assert list(index.all("b")) == []


def test_an_index_gives_rows_as_they_are() -> None:
    """After a change that leaves the key alone, the index has the new row."""
    view = View()
    index = view.index(BY_WORD)
    view.apply(Change(None, router(ONE)))
    changed = LogicalRouter(uuid=ONE, name="r", enabled=False)
    view.apply(Change(router(ONE), changed))
    assert index.one("r") == changed


def test_an_index_made_late_has_all_rows() -> None:
    """An index may be made when the table already has rows."""
    view = View()
    view.apply(Change(None, router(ONE, "a")))
    assert view.index(BY_WORD).one("a") == router(ONE, "a")


def test_a_declaration_has_one_index_in_a_view() -> None:
    """A declared index is built once per view and shared."""
    view = View()
    assert view.index(BY_WORD) is view.index(BY_WORD)
    assert view.tally(BY_WORD) is view.tally(BY_WORD)
    assert view.index(BY_WORD) is not View().index(BY_WORD)


def test_routes_are_found_by_overlap() -> None:
    """The prefix index of a declaration has old rows, follows changes, and leaves rows out that
    have no prefix.
    """
    view = View()
    inside = IcRoute(uuid=ONE, ip_prefix="10.1.0.0/16")
    view.apply(Change(None, inside))
    prefixes = view.prefixes(IC_ROUTES_BY_PREFIX)
    view.apply(Change(None, IcRoute(uuid=TWO, ip_prefix="10.0.0.0/8")))
    view.apply(Change(None, IcRoute(uuid=THREE, ip_prefix="nonsense")))
    assert set(prefixes.overlapping(ip_network("10.1.2.0/24"))) == {ONE, TWO}
    view.apply(Change(inside, None))
    assert set(prefixes.overlapping(ip_network("10.1.2.0/24"))) == {TWO}


def test_rows_may_come_and_go_while_an_index_is_read() -> None:
    """Reading several rows under a key survives their removal."""
    view = View()
    index = view.index(BY_WORD)
    for uuid in (ONE, TWO):
        view.apply(Change(None, router(uuid)))
    reader = index.all("r")
    assert next(reader).uuid == ONE
    view.apply(Change(router(ONE), None))
    assert [row.uuid for row in reader] == [TWO]


@given(st.lists(st.tuples(st.sampled_from("1234"), st.text("ab ", max_size=4)), max_size=30))
def test_an_index_is_what_a_scan_finds(history: list[tuple[str, str]]) -> None:
    """After any history of inserts, changes and deletes, index and table agree."""
    view = View()
    table = view.table(LogicalRouter)
    index = view.index(BY_WORD)
    for number, name in history:
        old = table.get(RowId(number))
        new = None if name == " " else router(RowId(number), name)
        if old or new:
            view.apply(Change(old, new))
    assert set(index.keys()) == {word for row in table for word in words(row)}
    for key in set(index.keys()):
        assert {row.uuid for row in index.all(key)} == {r.uuid for r in table if key in words(r)}


def test_a_table_by_row_and_alone() -> None:
    """Rows are found by UUID; a table with at most one row gives it without a key."""
    view = View()
    table = view.table(NbGlobal)
    assert table.single() is None
    assert table.get(None) is None
    row = NbGlobal(uuid=ONE)
    view.apply(Change(None, row))
    assert (table.single(), table.get(ONE), len(table), list(table)) == (row, row, 1, [row])


def test_a_relation_knows_parent_and_children() -> None:
    """Children that join are found, and those that leave are not."""
    view = View()
    relation = view.relation(ROUTER_ROUTES)
    view.apply(Change(None, router(ONE), held(TWO, THREE)))
    assert set(relation.children(ONE)) == {TWO, THREE}
    assert relation.parent(TWO) == ONE
    view.apply(Change(router(ONE), router(ONE), {}, held(TWO)))
    assert set(relation.children(ONE)) == {THREE}
    assert relation.parent(TWO) is None
    view.apply(Change(router(ONE), None, {}, held(THREE)))
    assert (list(relation.children(ONE)), relation.parent(THREE)) == ([], None)


def test_a_child_that_moves_has_its_new_parent_in_either_order() -> None:
    """Within one update the new parent's change may come before or after the old one's."""
    joins = Change(router(TWO), router(TWO), held(THREE))
    leaves = Change(router(ONE), router(ONE), {}, held(THREE))
    for order in ((joins, leaves), (leaves, joins)):
        view = View()
        view.apply(Change(None, router(ONE), held(THREE)))
        view.apply(Change(None, router(TWO)))
        for change in order:
            view.apply(change)
        relation = view.relation(ROUTER_ROUTES)
        assert relation.parent(THREE) == TWO
        assert (list(relation.children(ONE)), list(relation.children(TWO))) == ([], [THREE])


def filled() -> View:
    """A view with rows of two databases."""
    view = View()
    view.apply(Change(None, router(ONE), held(TWO)))
    view.apply(Change(None, LogicalRouterStaticRoute(uuid=TWO, ip_prefix="10.0.0.0/8")))
    view.apply(Change(None, AvailabilityZone(uuid=THREE, name="az")))
    view.apply(Change(None, IcRoute(uuid=ONE, availability_zone=THREE)))
    return view


def rows_of(view: View, *kinds: type[Row]) -> list[Row]:
    """All rows of some tables."""
    return [row for kind in kinds for row in view.table(kind)]


def test_vanishing_empties_one_database() -> None:
    """The changes of `vanish` empty that database with its relations, and no other."""
    view = filled()
    changes = list(view.vanish(Database.NB))
    assert len(rows_of(view, LogicalRouter, LogicalRouterStaticRoute)) == 2  # nothing yet
    for change in changes:
        view.apply(change)
    assert rows_of(view, LogicalRouter, LogicalRouterStaticRoute) == []
    assert view.relation(ROUTER_ROUTES).parent(TWO) is None
    assert len(rows_of(view, AvailabilityZone, IcRoute)) == 2


def test_a_database_may_vanish_and_return_in_one_batch() -> None:
    """Rows and relations that are equal in the new contents are there afterwards."""
    view = filled()
    index = view.index(BY_WORD)
    returned = [
        Change(None, router(ONE), held(TWO)),
        Change(None, LogicalRouterStaticRoute(uuid=TWO, ip_prefix="10.0.0.0/8")),
    ]
    for change in [*view.vanish(Database.NB), *returned]:
        view.apply(change)
    assert view.relation(ROUTER_ROUTES).parent(TWO) == ONE
    assert index.one("r") == router(ONE)
    assert [row.uuid for row in view.children(ROUTER_ROUTES, ONE)] == [TWO]
    assert view.parent(ROUTER_ROUTES, TWO) == router(ONE)
    assert len(view.table(LogicalRouterStaticRoute)) == 1


def test_a_tally_counts_the_rows_of_each_key() -> None:
    """It counts existing rows, follows changes, and drops keys without rows."""
    view = filled()
    tally = view.tally(IC_ROUTES_BY_ZONE)
    view.apply(Change(None, IcRoute(uuid=TWO, availability_zone=THREE)))
    assert dict(tally.items()) == {THREE: 2}
    moved = IcRoute(uuid=TWO, availability_zone=ONE)
    view.apply(Change(IcRoute(uuid=TWO, availability_zone=THREE), moved))
    assert dict(tally.items()) == {THREE: 1, ONE: 1}
    view.apply(Change(moved, None))
    assert dict(tally.items()) == {THREE: 1}


@pytest.mark.parametrize("most", [3, 300])
def test_ranks_are_in_order_however_they_come(most: int) -> None:
    """Few ranks are inserted one by one, and many are sorted; removed ones are gone."""
    view = View()
    zone, prefixes = RowId("z"), [f"10.0.{n * 7 % 256}.0/24" for n in range(most)]
    rows = [
        IcRoute(uuid=RowId(f"r{n}"), availability_zone=zone, ip_prefix=prefix)
        for n, prefix in enumerate(prefixes)
    ]
    for at, row in enumerate(rows):
        view.apply(Change(None, row))
        if at % 100 == 2:
            assert view.ranks(IC_ROUTES_RANKED)["z"] == sorted(map(rank_of, rows[: at + 1]))
    assert view.ranks(IC_ROUTES_RANKED)["z"] == sorted(map(rank_of, rows))
    for row in rows[1:]:
        view.apply(Change(row, None))
    assert view.ranks(IC_ROUTES_RANKED) == {"z": [rank_of(rows[0])]}
    view.apply(Change(rows[0], None))
    assert view.ranks(IC_ROUTES_RANKED) == {}

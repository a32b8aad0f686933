"""A replica that gets a server's messages without a server."""

import json
import select
import socket
from typing import Any

import pytest

from isthmus.engine.view import View
from isthmus.model.indexes import ROUTER_PORTS
from isthmus.model.rows import (
    Database,
    LogicalRouter,
    LogicalRouterStaticRoute,
    NbGlobal,
    Row,
    RowId,
    SbPortBinding,
)
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.replica import Replica

NOWHERE = "unix:/nonexistent/socket"
ONE, TWO = RowId("11111111-1111-4111-8111-111111111111"), "22222222-2222-4222-8222-222222222222"
STRING_MAP = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}
SCHEMA: dict[str, Any] = {
    "name": "OVN_Northbound",
    "version": "1.0.0",
    "tables": {
        "Logical_Router": {
            "columns": {
                "name": {"type": "string"},
                "options": STRING_MAP,
                "ports": {"type": {"key": "uuid", "min": 0, "max": "unlimited"}},
                "unknown": {"type": "integer"},
            }
        },
        "Unknown": {"columns": {"name": {"type": "string"}}},
    },
}


class Fed(Replica):
    """A replica, and a view of its rows."""

    def __init__(self) -> None:
        super().__init__(Database.NB, NOWHERE, SCHEMA, [LogicalRouter, NbGlobal])
        self.state = self.IDL_S_MONITORING
        self.view = View()

    def feed(self, version: str, **rows: Any) -> int:
        """Apply an update of routers; the number of changes."""
        uuids = {"one": ONE, "two": TWO}
        update = {"Logical_Router": {uuids[name]: row for name, row in rows.items()}}
        self._Idl__parse_update(update, version)
        changes = self.take_changes()
        for change in changes:
            self.view.apply(change)
        return len(changes)

    def resync(self, version: str, **rows: Any) -> int:
        """Apply all rows again, as after a reconnection."""
        self._Idl__clear()
        return self.feed(version, **rows)

    @property
    def rows(self) -> dict[str, LogicalRouter]:
        """The view's routers by name."""
        return {row.name: row for row in self.view.table(LogicalRouter)}

    @property
    def ports(self) -> set[RowId]:
        """The ports of router ONE."""
        return set(self.view.relation(ROUTER_PORTS).children(RowId(ONE)))


def ports(*names: str) -> Any:
    """A set of references in JSON."""
    return ["set", [["uuid", name] for name in names]]


def test_inserts_differences_and_deletes() -> None:
    """Rows match what the server reports, including columns with children."""
    replica = Fed()
    replica.feed("update2", one={"insert": {"name": "r", "ports": ports("p", "q")}})
    assert replica.rows["r"] == LogicalRouter(uuid=ONE, name="r")
    assert replica.ports == {"p", "q"}
    modify = {"options": ["map", [["a", "1"]]], "ports": ports("q", "s")}
    assert replica.feed("update2", one={"modify": modify}) == 1
    assert replica.rows["r"].options == {"a": "1"}
    assert replica.ports == {"p", "s"}
    replica.feed("update2", one={"delete": None})
    assert (replica.rows, replica.ports) == ({}, set())


@pytest.mark.parametrize("version", ["update2", "update3"])
def test_a_resynchronisation_gives_the_difference(version: str) -> None:
    """After a reconnection only real differences are reported."""
    replica = Fed()
    replica.feed(
        version,
        one={"initial": {"name": "same", "ports": ports("p")}},
        two={"initial": {"name": "old", "options": ["map", [["a", "1"]]]}},
    )
    equal = {"initial": {"name": "same", "ports": ports("p")}}
    changed = {"initial": {"name": "new"}}
    assert replica.resync(version, one=equal, two=changed) == 1
    assert replica.rows["new"].options == {}
    assert replica.resync(version, one={"initial": {"name": "same"}}) == 2
    assert set(replica.rows) == {"same"}
    assert replica.ports == set()


def test_nothing_is_reported_while_it_is_incomplete() -> None:
    """Between a reconnection and the new contents, rows stay."""
    replica = Fed()
    replica.feed("update2", one={"initial": {"name": "r"}})
    replica.state = replica.IDL_S_SERVER_SCHEMA_REQUESTED
    replica._Idl__clear()
    assert not replica.monitoring
    assert replica.take_changes() == []
    replica.state = replica.IDL_S_MONITORING
    assert replica.feed("update2", one={"initial": {"name": "r"}}) == 0
    assert set(replica.rows) == {"r"}


def test_everything_is_all_rows_with_their_children() -> None:
    """A view built from `everything` equals the view that was updated by changes."""
    replica = Fed()
    replica.feed("update2", one={"insert": {"name": "r", "ports": ports("p")}})
    (change,) = replica.everything()
    assert change.old is None
    assert change.new == LogicalRouter(uuid=ONE, name="r")
    assert change.joined == {"ports": frozenset({"p"})}


def test_servers_without_conditional_monitoring() -> None:
    """The messages of RFC 7047, with whole rows instead of differences, work as well."""
    replica = Fed()
    row = {"name": "r", "options": ["map", []], "ports": ports("p")}
    assert replica.feed("update", one={"new": row}) == 1
    changed = {**row, "options": ["map", [["a", "1"]]]}
    assert replica.feed("update", one={"old": {"options": ["map", []]}, "new": changed}) == 1
    assert replica.rows["r"].options == {"a": "1"}
    assert replica.ports == {"p"}
    assert replica.resync("update", one={"new": changed}) == 0
    assert replica.feed("update", one={"old": changed}) == 1
    assert (replica.rows, replica.ports) == ({}, set())


def test_tables_and_columns_that_only_one_side_knows() -> None:
    """Tables that the server lacks are skipped; columns that it lacks have their defaults."""
    replica = Fed()
    assert replica.kinds == [LogicalRouter]
    assert set(replica.tables) == {"Logical_Router"}
    assert set(replica.tables["Logical_Router"].columns) == {"name", "options", "ports"}


BINDINGS: dict[str, Any] = {
    "name": "OVN_Southbound",
    "version": "1.0.0",
    "tables": {"Port_Binding": {"columns": {"type": {"type": "string"}}}},
}


def test_an_unconnected_replica_lets_the_loop_sleep() -> None:
    """The condition on port bindings is part of the first request and wakes no poller before."""
    replica = Replica(Database.SB, NOWHERE, BINDINGS, [SbPortBinding])
    poller = Poller()
    replica.run()
    replica.wait(poller.raw)
    assert poller.raw.timeout > 0
    condition = replica.tables["Port_Binding"].condition_state.acked
    assert ["type", "==", "chassisredirect"] in condition


@pytest.mark.parametrize("kinds", [[], [SbPortBinding]])
def test_a_southbound_without_port_bindings(kinds: list[type[Row]]) -> None:
    """Without port bindings, in the request or on the server, there is no condition."""
    schema = {**BINDINGS, "tables": {} if kinds else BINDINGS["tables"]}
    assert Replica(Database.SB, NOWHERE, schema, kinds).tables == {}


def test_a_readable_descriptor_wakes_the_poller() -> None:
    """The poller waits for descriptors and times, and clears both after each turn."""
    reader, writer = socket.socketpair()
    with reader, writer:
        poller = Poller()
        writer.send(b"x")
        poller.wait_readable(reader.fileno())
        poller.wake_in(60.0)
        poller.block()
        assert select.select([reader], [], [], 0)[0] == [reader]
        poller.wake_in(-1.0)
        poller.block()


def route(number: int, nexthop: str) -> dict[str, Any]:
    """A route in JSON, of values that are no one else's."""
    text = f'{{"insert": {{"ip_prefix": "10.{number}.0.0/16", "nexthop": "{nexthop}"}}}}'
    update = json.loads(text)
    update["insert"]["options"] = ["map", [["origin", "".join(["con", "nected"])]]]
    return update  # type: ignore[no-any-return]


def test_equal_values_of_many_rows_are_one_object() -> None:
    """Rows of the largest tables share what they have in common, but long values are not kept."""
    columns: Any = {key: {"type": "string"} for key in ("ip_prefix", "nexthop")}
    table = {"columns": {**columns, "options": STRING_MAP}}
    schema = {**SCHEMA, "tables": {"Logical_Router_Static_Route": table}}
    replica = Replica(Database.NB, NOWHERE, schema, [LogicalRouterStaticRoute])
    replica.state = replica.IDL_S_MONITORING
    update = {
        f"uuid-{number}": route(number, nexthop)
        for number, nexthop in enumerate(["169.254.0.1", "169.254.0.1", "x" * 600, "x" * 600])
    }
    replica._Idl__parse_update({"Logical_Router_Static_Route": update}, "update2")
    one, two, three, four = (change.new for change in replica.take_changes())
    assert isinstance(one, LogicalRouterStaticRoute)
    assert isinstance(two, LogicalRouterStaticRoute)
    assert isinstance(three, LogicalRouterStaticRoute)
    assert isinstance(four, LogicalRouterStaticRoute)
    assert one.nexthop is two.nexthop
    assert one.options is two.options
    assert one.options == {"origin": "connected"}
    assert three.nexthop == four.nexthop
    assert three.nexthop is not four.nexthop


@pytest.mark.parametrize("updates", [[], [1, {"insert": {}}], "x", 1, None])
def test_updates_of_a_table_that_are_no_object_are_an_error(updates: Any) -> None:
    """The session closes the connection then."""
    with pytest.raises((AttributeError, TypeError)):
        Fed()._Idl__parse_update({"Logical_Router": updates}, "update2")

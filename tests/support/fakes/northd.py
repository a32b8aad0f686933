"""A minimal northd and ovn-controller: the port bindings that interconnection reads."""

from collections.abc import Collection, Iterable
from typing import Any

from isthmus.engine.transactions import Committed
from isthmus.model.operations import Delete, Insert, Operation, Ref, Update
from isthmus.model.rows import (
    Chassis,
    GatewayChassis,
    LogicalRouterPort,
    LogicalSwitchPort,
    SbPortBinding,
)
from support.fakes.ovsdb import FakeDatabase


def northd(nb: FakeDatabase, sb: FakeDatabase, dead: Collection[str] = ()) -> bool:
    """Update SB's port bindings from NB; return whether any changed.

    Args:
        nb, sb: the databases.
        dead: the names of chassis on which no ovn-controller runs: they serve nothing.
    """
    wanted = {row["logical_port"]: row for row in _bindings(nb, sb, dead)}
    have = {row["logical_port"]: row for row in sb.rows(SbPortBinding)}
    operations: list[Operation] = [
        Delete(SbPortBinding, row["_uuid"]) for name, row in have.items() if name not in wanted
    ]
    for name, row in wanted.items():
        if name not in have:
            operations.append(Insert(SbPortBinding, _encoded(row)))
        elif any(have[name][column] != value for column, value in row.items()):
            operations.append(Update(SbPortBinding, have[name]["_uuid"], _encoded(row)))
    if operations:
        assert sb.transact(operations) == Committed()
    return bool(operations)


def _bindings(
    nb: FakeDatabase, sb: FakeDatabase, dead: Collection[str]
) -> Iterable[dict[str, Any]]:
    chassis = {row["name"]: row["_uuid"] for row in sb.rows(Chassis)}
    for lsp in nb.rows(LogicalSwitchPort):
        kind = {"router": "patch", "remote": "remote"}.get(lsp["type"], "")
        yield {"logical_port": lsp["name"], "type": kind}
    gateways = {row["_uuid"]: row for row in nb.rows(GatewayChassis)}
    for lrp in nb.rows(LogicalRouterPort):
        mac = " ".join([lrp["mac"], *sorted(lrp["networks"])])
        yield {"logical_port": lrp["name"], "type": "patch", "mac": frozenset({mac})}
        rows = sorted(map(gateways.__getitem__, lrp["gateway_chassis"]), key=_most_preferred)
        names = [row["chassis_name"] for row in rows]
        if names:
            alive = (name for name in names if name in chassis and name not in dead)
            live = next((chassis[name] for name in alive), None)
            yield {
                "logical_port": f"cr-{lrp['name']}",
                "type": "chassisredirect",
                "chassis": live,
            }


def _encoded(row: dict[str, Any]) -> dict[str, Any]:
    if "chassis" not in row:
        return row
    return {**row, "chassis": Ref(row["chassis"]) if row["chassis"] else frozenset()}


def _most_preferred(row: dict[str, Any]) -> tuple[int, str]:
    return -row["priority"], row["chassis_name"]

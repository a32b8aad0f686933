"""Emptied and restored databases: the fake's contents and changes are those of a real server."""

from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.engine.transactions import Committed
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert, NewRef, Update, Value, set_keys
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    Gateway,
    IcEncap,
    IcPortBinding,
    RowId,
)
from support.fakes.ovsdb import FakeDatabase
from support.ovn.real_database import RealDatabase
from support.ovn.servers import Servers

KINDS = (AvailabilityZone, Gateway, IcEncap, IcPortBinding)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDatabase]:
    """A real IC-SB."""
    servers = Servers(tmp_path_factory.mktemp("backups"))
    try:
        servers.serve(Database.IC_SB)
        database = RealDatabase(Database.IC_SB, servers)
        yield database
        database.session.close()
    finally:
        servers.stop_all()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.ovn)])
def database(request: pytest.FixtureRequest) -> FakeDatabase:
    """IC-SB with a zone, and its gateway and port."""
    if request.param == "fake":
        database = FakeDatabase(Database.IC_SB)
    else:
        database = request.getfixturevalue("real")
        database.clear()
    zone, encap = NewRef(), NewRef()
    port: dict[str, Value] = {"logical_port": "ts-az1", "transit_switch": "ts", "tunnel_key": 1}
    made = database.transact([
        Insert(AvailabilityZone, {"name": "az1"}, zone),
        Insert(IcEncap, {"type": "geneve", "ip": "192.0.2.1", "gateway_name": "gw"}, encap),
        Insert(Gateway, {"name": "gw", "availability_zone": zone, "encaps": (encap,)}),
        Insert(IcPortBinding, {**port, "availability_zone": zone, "gateway": "gw"}),
    ])  # fmt: skip
    assert made == Committed()
    return database


def contents(database: FakeDatabase) -> dict[str, list[dict[str, Any]]]:
    """All rows."""
    return {k.TABLE: sorted(database.rows(k), key=lambda r: r["_uuid"]) for k in KINDS}


def edit(database: FakeDatabase) -> None:
    """Change a row, delete one with a child, and insert one."""
    (port,), (gateway,) = database.rows(IcPortBinding), database.rows(Gateway)
    edited = database.transact([
        Update(IcPortBinding, port["_uuid"], {"gateway": ""}),
        Delete(Gateway, gateway["_uuid"]),
        Insert(AvailabilityZone, {"name": "az2"}),
    ])  # fmt: skip
    assert edited == Committed()
    assert not database.rows(IcEncap)


def follows(database: FakeDatabase, changes: list[Change]) -> bool:
    """Whether a view that applied the changes has the rows of a database."""
    view = View()
    for change in changes:
        view.apply(change)
    known = {row.uuid for kind in KINDS for row in view.table(kind)}
    return known == {row["_uuid"] for kind in KINDS for row in database.rows(kind)}


def test_a_restored_file_has_the_same_rows(database: FakeDatabase) -> None:
    """With the file of a backup, all rows are as before, with their UUIDs."""
    before, backup, changes = contents(database), database.backup(), database.observe()
    edit(database)
    database.restore(backup)
    assert contents(database) == before
    assert follows(database, changes)


def test_loaded_rows_have_other_uuids(database: FakeDatabase) -> None:
    """`ovsdb-client restore` inserts the rows of a backup again: values stay, UUIDs do not."""
    before, backup, changes = contents(database), database.backup(), database.observe()
    edit(database)
    database.load(backup)
    after = contents(database)
    assert {k: len(rows) for k, rows in after.items()} == {k: len(r) for k, r in before.items()}
    uuids = [{r["_uuid"] for rows in rows_.values() for r in rows} for rows_ in (before, after)]
    assert not uuids[0] & uuids[1]
    (zone,), (gateway,), (encap,), (port,) = (after[kind.TABLE] for kind in KINDS)
    assert (zone["name"], port["gateway"], encap["ip"]) == ("az1", "gw", "192.0.2.1")
    assert gateway["availability_zone"] == port["availability_zone"] == zone["_uuid"]
    assert gateway["encaps"] == {encap["_uuid"]}
    assert follows(database, changes)


def test_an_emptied_database_can_be_restored(database: FakeDatabase) -> None:
    """All rows can be deleted at once, whatever refers to them, and come back with a backup."""
    before, backup, changes = contents(database), database.backup(), database.observe()
    rows = [Delete(kind, RowId(row["_uuid"])) for kind in KINDS for row in database.rows(kind)]
    assert database.transact(rows) == Committed()
    assert not any(contents(database).values())
    assert follows(database, changes)
    database.restore(backup)
    assert contents(database) == before
    assert follows(database, changes)


def test_a_backup_does_not_change(database: FakeDatabase) -> None:
    """Edits after a backup, and after its restore, leave the backup as it was."""
    before, backup = contents(database), database.backup()
    for _ in range(2):
        edit(database)
        (port,) = database.rows(IcPortBinding)
        database.transact([set_keys(IcPortBinding, port["_uuid"], "external_ids", {"a": "b"})])
        database.restore(backup)
        assert contents(database) == before

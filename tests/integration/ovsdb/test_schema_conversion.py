"""Databases whose schema changes while a session is connected."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.model.operations import Insert
from isthmus.model.rows import AvailabilityZone, Database, IcRoute, Row
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from support.ovn.servers import INSTALLATION, Servers, wait_until

pytestmark = pytest.mark.ovn


def turn(session: Session, rows: dict[str, Row]) -> None:
    """Run a session briefly; a new generation starts with an empty view."""
    generation = session.generation
    changes = session.run()
    if session.generation != generation:
        rows.clear()
    for change in changes:
        rows.pop(change.row.uuid, None)
        if change.new is not None:
            rows[change.row.uuid] = change.new
    poller = Poller()
    session.wait(poller)
    poller.wake_in(0.02)
    poller.block()


def test_a_converted_database_is_read_again(tmp_path: Path) -> None:
    """After ovsdb-client convert the session has the new columns and reports all rows again."""
    full = INSTALLATION.schemas / "ovn-ic-sb.ovsschema"
    schema = json.loads(full.read_text())
    del schema["tables"]["Route"]
    schema["version"] = "0.9.0"
    older = tmp_path / "older.ovsschema"
    older.write_text(json.dumps(schema))
    servers = Servers(tmp_path / "ic")
    try:
        file = servers.directory / "ovn-ic-sb.db"
        subprocess.run(["ovsdb-tool", "create", file, older], check=True)
        servers.serve(Database.IC_SB)
        session = Session(Database.IC_SB, servers.socket(Database.IC_SB))
        rows: dict[str, Row] = {}

        def until(condition: Callable[[], bool], what: str) -> None:
            def holds() -> bool:
                turn(session, rows)
                return condition()

            wait_until(holds, what)

        until(lambda: session.writable, "connected")
        assert session.columns[IcRoute] == {}
        session.transact([Insert(AvailabilityZone, {"name": "az1"})], "test")
        until(lambda: session.reply() is not None, "written")
        until(lambda: len(rows) == 1, "the zone is there")
        subprocess.run(
            ["ovsdb-client", "convert", servers.socket(Database.IC_SB), str(full)], check=True
        )
        until(lambda: session.generation == 2 and len(rows) == 1, "read again")
        assert "ip_prefix" in session.columns[IcRoute]
        session.close()
    finally:
        servers.stop_all()

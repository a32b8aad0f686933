"""A real server with the interface of `FakeDatabase`, so that fake zones can use it."""

import itertools
import subprocess
from collections.abc import Iterable
from dataclasses import fields
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from isthmus.engine.transactions import Committed, Result
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert, Operation, Ref, Value
from isthmus.model.rows import Database, Row, RowId, SbDatapathBinding, SbPortBinding
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from support.fakes.ovsdb import FakeDatabase
from support.fakes.schemas import ROOTS
from support.ovn.servers import FILES, INSTALLATION, Servers, wait_until


class Backup(NamedTuple):
    """The contents of a database: its file, and what `ovsdb-client backup` writes."""

    file: bytes
    rows: bytes


class RealDatabase(FakeDatabase):
    """A server's database; all transactions of a test go through one session.

    Args:
        database: one of the four.
        servers: they run its server.
    """

    def __init__(self, database: Database, servers: Servers) -> None:
        super().__init__(database)
        self._servers = servers
        self._keys = itertools.count(1)
        self._file = servers.directory / f"{FILES[database]}.db"
        self.session = Session(database, servers.socket(database))
        wait_until(self._is_connected, f"{database} is read")
        self.columns = self.session.columns
        if database is Database.SB:
            made = servers.ctl("ovn-sbctl", database, "create", "Datapath_Binding", "tunnel_key=1")
            self._datapath = Ref(RowId(made.strip()))

    def transact(self, operations: Iterable[Operation]) -> Result:
        """Have the server commit or refuse a transaction."""
        operations = tuple(operations)
        result = self._send([self._complete(operation) for operation in operations])
        if result == Committed():
            self.committed.append(operations)
        return result

    def backup(self) -> "Backup":
        """All contents."""
        return Backup(self._file.read_bytes(), self._client("backup"))

    def restore(self, contents: "Backup") -> None:
        """Serve the file of a backup instead of the current one."""
        name = FILES[self.database]
        self._servers.stop(name)
        wait_until(lambda: not self._is_connected(), f"{self.database} has stopped")
        self._file.write_bytes(contents.file)
        self._servers.serve(self.database)
        wait_until(self._is_connected, f"{self.database} is read again")

    def load(self, contents: "Backup") -> None:
        """Replace the rows by those of a backup with `ovsdb-client restore`."""
        self._client("restore", contents.rows)
        self._send([])

    def clear(self) -> None:
        """Delete all rows of a test, and have no observers."""
        self._observers.clear()
        roots = (k for k in self.tables if k.TABLE in ROOTS and k is not SbDatapathBinding)
        rows = [Delete(kind, uuid) for kind in roots for uuid in self.tables[kind]]
        assert self._send(rows) == Committed()

    def _send(self, operations: Iterable[Operation]) -> Result:
        self.session.transact(operations, "test")
        while (reply := self.session.reply()) is None:
            poller = Poller()
            self.session.wait(poller)
            poller.block()
            self._follow(self.session.run())
        return reply

    def _complete(self, operation: Operation) -> Operation:
        """Add the columns of a port binding that the schema requires and no reconciler reads."""
        if not isinstance(operation, Insert) or operation.table is not SbPortBinding:
            return operation
        row: dict[str, Value] = {"datapath": self._datapath, "tunnel_key": next(self._keys)}
        return Insert(SbPortBinding, {**operation.row, **row}, operation.ref)

    def _client(self, verb: str, stdin: bytes = b"") -> bytes:
        remote = self._servers.socket(self.database)
        command = [*INSTALLATION.command("ovsdb-client"), verb, remote, self.database]
        # The program seeks in its input, which it cannot do in a pipe.
        with TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            done = subprocess.run(command, check=False, stdin=file, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _is_connected(self) -> bool:
        self._follow(self.session.run())
        return self.session.connected and self.session.synced

    def _follow(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._store(change)
            for observer in self._observers:
                observer.append(change)

    def _store(self, change: Change) -> None:
        row = change.row
        rows = self.tables[type(row)]
        if change.new is None:
            del rows[row.uuid]
            return
        before = rows.get(row.uuid, {})
        rows[row.uuid] = _columns(row)
        for column in row.CHILDREN:
            had: frozenset[RowId] = before.get(column, frozenset())
            left, joined = change.left.get(column, ()), change.joined.get(column, ())
            rows[row.uuid][column] = had.difference(left).union(joined)


def _columns(row: Row) -> dict[str, Any]:
    names = [field.name for field in fields(row)]
    return {name: getattr(row, name) for name in names if name != "uuid"}

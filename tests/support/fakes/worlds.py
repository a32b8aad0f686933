"""One database twice, the fake and a real server, with the same small interface.

Used by tests/contract. Rows are identified by tags (`external_ids:tag`, else the column that
identifies them), because UUIDs differ between the worlds.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from isthmus.engine.transactions import Committed, Failed, Result
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Operation
from isthmus.model.rows import ROW_TYPES, Database, Row, RowId
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.session import Session
from support.fakes.ovsdb import FakeDatabase
from support.fakes.schemas import ROOTS
from support.ovn.servers import wait_until

Dump = dict[tuple[str, str], dict[str, Any]]


def tag_of(row: Row) -> str:
    """The tag of a row, equal in both worlds."""
    if tag := getattr(row, "external_ids", {}).get("tag"):
        return str(tag)
    names = (getattr(row, n, "") for n in ("logical_port", "transit_switch", "name", "ip"))
    return next((str(name) for name in names if name), "?")


class World(ABC):
    """A database, and a view that follows its changes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.view = View()
        self.kinds = [kind for kind in ROW_TYPES if kind.DATABASE is database]
        self._claimed: set[tuple[str, str]] = set()

    @abstractmethod
    def transact(self, operations: Iterable[Operation]) -> Result:
        """Run a transaction; the view is up to date when this returns."""

    def find(self, kind: type[Row], tag: str) -> RowId:
        """The UUID of a row; a UUID that does not exist if there is no such row."""
        found = (row.uuid for row in self.view.table(kind) if tag_of(row) == tag)
        return next(found, RowId("00000000-0000-4000-8000-000000000000"))

    def claim(self, kind: type[Row], tag: str) -> bool:
        """Whether neither the contents nor the operations of the next transaction use a tag."""
        key = (kind.TABLE, tag)
        free = key not in self.dump() and key not in self._claimed
        self._claimed.add(key)
        return free

    def dump(self) -> Dump:
        """All contents, with tags in place of UUIDs."""
        tags = {row.uuid: tag_of(row) for kind in self.kinds for row in self.view.table(kind)}
        return {
            (kind.TABLE, tags[row.uuid]): _plain(self.view, row, tags)
            for kind in self.kinds
            for row in self.view.table(kind)
        }

    def clear(self) -> None:
        """Delete all rows."""
        self._claimed.clear()
        rows = [
            Delete(kind, row.uuid)
            for kind in self.kinds
            if kind.TABLE in ROOTS
            for row in self.view.table(kind)
        ]
        assert self.transact(rows) == Committed()
        assert self.dump() == {}

    def _follow(self, changes: Iterable[Change]) -> None:
        self._claimed.clear()
        for change in changes:
            self.view.apply(change)


def _plain(view: View, row: Row, tags: dict[RowId, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in row.__dataclass_fields__:
        value = getattr(row, name)
        if isinstance(value, frozenset):
            value = {tags.get(element, element) for element in value}
        elif isinstance(value, str):
            value = tags.get(RowId(value), value)
        values[name] = value
    del values["uuid"]
    for column in row.CHILDREN:
        children = view._relations[type(row), column].children(row.uuid)
        values[column] = {tags.get(child, child) for child in children}
    return values


class FakeWorld(World):
    """The fake database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.fake = FakeDatabase(database)
        self._feed = self.fake.observe()

    def transact(self, operations: Iterable[Operation]) -> Result:
        """Commit or refuse a transaction."""
        result = self.fake.transact(operations)
        self._follow(self._feed)
        self._feed.clear()
        return result


class RealWorld(World):
    """A real server, through a session.

    Args:
        database: one of the four.
        remote: of the server.
    """

    def __init__(self, database: Database, remote: str) -> None:
        super().__init__(database)
        self.session = Session(database, remote)
        wait_until(self._synced, f"{database} is read")

    def transact(self, operations: Iterable[Operation]) -> Result:
        """Send a transaction, and process updates until the reply."""
        self.session.transact(operations, "contract")
        while (reply := self.session.reply()) is None:
            poller = Poller()
            self.session.wait(poller)
            poller.block()
            self._follow(self.session.run())
        return reply

    def _synced(self) -> bool:
        self._follow(self.session.run())
        return self.session.synced


def outcome(result: Result) -> str:
    """A result without its explanation, which differs between servers."""
    return result.error if isinstance(result, Failed) else type(result).__name__

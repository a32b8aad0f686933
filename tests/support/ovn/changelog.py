"""Deletions, read from the transaction log of a database file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from isthmus.model.rows import Database
from support.ovn.servers import FILES, RealFleet, Servers


class ChangeLog:
    """The log of a standalone database, from the creation of this object.

    Args:
        file: the database file; its server must not compact it meanwhile.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = self._file.stat().st_size

    def deleted(self) -> Counter[str]:
        """How many rows of each table have been deleted since then."""
        found: Counter[str] = Counter()
        contents = self._file.read_bytes()
        assert len(contents) >= self._start, f"{self._file} has been compacted"
        for line in contents[self._start :].splitlines(keepends=True):
            if not (line.startswith(b"{") and line.endswith(b"\n")):
                continue  # the header of a record, or an incomplete record
            record: dict[str, Any] = json.loads(line)
            for table, rows in record.items():
                if isinstance(rows, dict):
                    found[table] += sum(row is None for row in rows.values())
        return +found


class ChangeLogs:
    """The logs of the databases to which the first zone of a fleet writes."""

    def __init__(self, fleet: RealFleet) -> None:
        own = fleet.zones[0].servers
        self._logs = [_log(own, Database.NB), _log(own, Database.SB)]
        self._logs.append(_log(fleet.ic, Database.IC_SB))

    def deleted(self) -> dict[str, int]:
        """How many rows of each table have been deleted since then."""
        found: Counter[str] = Counter()
        for log in self._logs:
            found += log.deleted()
        return dict(found)


def _log(servers: Servers, database: Database) -> ChangeLog:
    return ChangeLog(servers.directory / f"{FILES[database]}.db")

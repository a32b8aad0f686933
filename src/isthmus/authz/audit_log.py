"""What the guard has refused: counted by zone, and kept in a file.

Written by `guard`, read by `isthmus ic-db status`.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from isthmus.authz.request import RefusedError

RECORD = "guard-refusals.json"
"""Its name, in the run directory."""

LOGGED = 10
"""Refusals of one zone that are logged in each `_WINDOW`: a zone may have thousands refused."""

_WINDOW = 60.0

TABLES = 20
"""Tables that are counted for each zone: the names are its own, and the databases have fewer."""

OTHER = "other"


@dataclass(slots=True)
class Refusals:
    """What one zone has been refused.

    Args:
        count: how often.
        operation, table, why: the last time.
        at: when that was, in seconds since 1970.
        tables: how often, by table.
    """

    count: int = 0
    operation: str = ""
    table: str = ""
    why: str = ""
    at: float = 0.0
    tables: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Told:
    since: float
    count: int = 0
    last: str = ""


@dataclass(slots=True)
class Record:
    """All refusals by zone; counts go on after a restart.

    Args:
        file: a JSON object: zone to what `Refusals` has.
    """

    file: Path
    zones: dict[str, Refusals] = field(default_factory=dict)
    _told: dict[str, _Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.zones = read(self.file)

    def add(self, refused: RefusedError, now: float) -> bool:
        """Note a refusal; whether it is to be logged: it is news, and not one of very many."""
        refusals = self.zones.setdefault(refused.zone, Refusals())
        refusals.count += 1
        refusals.operation, refusals.table = refused.operation, refused.table
        refusals.why, refusals.at = refused.why, now
        table = refused.table
        if table not in refusals.tables and len(refusals.tables) >= TABLES:
            table = OTHER
        refusals.tables[table] = refusals.tables.get(table, 0) + 1
        told = self._told.setdefault(refused.zone, _Told(now))
        if now - told.since >= _WINDOW:
            told.since, told.count, told.last = now, 0, ""
        if str(refused) == told.last or told.count >= LOGGED:
            return False
        told.last = str(refused)
        told.count += 1
        return True

    def save(self) -> None:
        """Write the file."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({zone: asdict(one) for zone, one in self.zones.items()}))
        new.replace(self.file)


def read(file: Path) -> dict[str, Refusals]:
    """The refusals in a file, by zone; none if it does not exist or cannot be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return {zone: Refusals(**one) for zone, one in json.loads(file.read_text()).items()}
    return {}

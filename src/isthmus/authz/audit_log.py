"""Count refused requests by zone and keep the counts in a file.

The authorizing proxy writes the file; `isthmus ic-db status` reads it.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from isthmus.authz.request import RefusedError

FILE_NAME = "guard-refusals.json"
"""The file's name, in the run directory."""

LOG_LIMIT = 10
"""Refusals of one zone that are logged per `_WINDOW`: a zone may have thousands."""

_WINDOW = 60.0
"""Seconds."""

MAX_TABLES = 20
"""Tables counted separately per zone. The client chooses the names; the schemas have fewer."""

OTHER = "other"


@dataclass(slots=True)
class ZoneRefusals:
    """The refused requests of one zone.

    Args:
        count: how many.
        operation, table, why: of the latest one.
        at: when that was, in seconds since 1970.
        tables: the count by table.
        bounds: the count by name of the bound that a request exceeded.
    """

    count: int = 0
    operation: str = ""
    table: str = ""
    why: str = ""
    at: float = 0.0
    tables: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)

    @property
    def time(self) -> str:
        """The time of the latest one, in UTC."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(slots=True)
class AuditLog:
    """All refused requests by zone; the counts continue after a restart.

    Args:
        file: a JSON object from zone names to the fields of `ZoneRefusals`.
    """

    file: Path
    zones: dict[str, ZoneRefusals] = field(init=False)
    _logged: dict[str, set[str]] = field(init=False, default_factory=dict)
    _logged_since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.zones = read(self.file)

    def add(self, refused: RefusedError, now: float) -> bool:
        """Count a refusal; True if it should be logged: not a repetition, and within the limit."""
        refusals = self.zones.setdefault(refused.zone, ZoneRefusals())
        refusals.count += 1
        refusals.operation, refusals.table = refused.operation, refused.table
        refusals.why, refusals.at = refused.why, now
        table = refused.table
        if table not in refusals.tables and len(refusals.tables) >= MAX_TABLES:
            table = OTHER
        refusals.tables[table] = refusals.tables.get(table, 0) + 1
        if bound := refused.bound:
            refusals.bounds[bound] = refusals.bounds.get(bound, 0) + 1
        if now - self._logged_since >= _WINDOW:
            self._logged, self._logged_since = {}, now
        logged = self._logged.setdefault(refused.zone, set())
        if str(refused) in logged or len(logged) >= LOG_LIMIT:
            return False
        logged.add(str(refused))
        return True

    def save(self) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({zone: asdict(one) for zone, one in self.zones.items()}))
        new.replace(self.file)


def read(file: Path) -> dict[str, ZoneRefusals]:
    """The refusals in a file, by zone; none if it is missing or damaged."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return {zone: ZoneRefusals(**one) for zone, one in json.loads(file.read_text()).items()}
    return {}

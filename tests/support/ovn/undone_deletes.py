"""Deletions that a later transaction undoes, found in the transaction log of a database file.

A change must be made before what it replaces is broken: in one transaction, or the new row first.
A row that goes in one transaction and comes back in a later one, as the same object, was missing in
between, and with it the packets that depended on it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Columns = dict[str, Any]
Identity = tuple[str, ...]
Identities = Callable[[Columns], Iterator[Identity]]
"""The objects that a row stands for, each with its kind first; a row may be several, or none."""


def _by(kind: str, *columns: str) -> Identities:
    def identities(row: Columns) -> Iterator[Identity]:
        yield (kind, *(str(row.get(column, "")) for column in columns))

    return identities


def _all(*several: Identities) -> Identities:
    return lambda row: (identity for one in several for identity in one(row))


def _bound(row: Columns) -> Iterator[Identity]:
    """A remote port has a chassis, without which packets to it are dropped."""
    if row.get("type") == "remote" and row.get("chassis", ["set", []]) != ["set", []]:
        yield "chassis of remote port", row["logical_port"]


def _served(row: Columns) -> Iterator[Identity]:
    if row.get("gateway"):
        yield "gateway of published port", row["logical_port"]


TABLES: Mapping[str, Mapping[str, Identities]] = {
    "OVN_Northbound": {
        "Logical_Router_Static_Route": _all(
            _by("route to", "ip_prefix", "route_table"),
            _by("route", "ip_prefix", "route_table", "nexthop"),
        ),
        "Logical_Router_Policy": _by("policy", "priority", "match"),
        "Logical_Router_Port": _by("router port", "name"),
        "Logical_Switch_Port": _by("switch port", "name"),
        "Logical_Switch": _by("switch", "name"),
        "Gateway_Chassis": _by("gateway chassis", "name"),
    },
    "OVN_Southbound": {
        "Chassis": _all(_by("chassis", "name"), _by("chassis of host", "hostname")),
        "Encap": _by("tunnel", "type", "ip"),
        "Port_Binding": _all(_by("binding", "logical_port"), _bound),
    },
    "OVN_IC_Northbound": {"Transit_Switch": _by("transit switch", "name")},
    "OVN_IC_Southbound": {
        "Availability_Zone": _by("zone", "name"),
        "Gateway": _all(_by("gateway", "name"), _by("gateway of host", "hostname")),
        "Encap": _by("tunnel", "type", "ip"),
        "Port_Binding": _all(
            _by("published port", "logical_port"),
            _by("address", "transit_switch", "address"),
            _served,
        ),
        "Route": _all(
            _by("route to", "transit_switch", "ip_prefix", "route_table"),
            _by("route", "transit_switch", "ip_prefix", "route_table", "nexthop"),
        ),
    },
}
"""What rows stand for, in the tables of each database that zones write."""


@dataclass(frozen=True, slots=True)
class Undone:
    """An object that was missing between two transactions.

    Args:
        identity: the object.
        deleted, inserted: the comments of the two transactions.
        gap_ms: the time between them.
    """

    identity: Identity
    deleted: str
    inserted: str
    gap_ms: int


def transactions(contents: bytes) -> Iterator[dict[str, Any]]:
    """The schema and the transactions in a database file, standalone or of a cluster.

    Raises:
        KeyError: the file is of a kind that this does not read.
    """
    for line in contents.splitlines(keepends=True):
        if not (line.startswith(b"{") and line.endswith(b"\n")):
            continue  # the header of a record, or an incomplete record
        record: dict[str, Any] = json.loads(line)
        parts = record.get("data") or record.get("prev_data")
        if contents.startswith(b"OVSDB JSON"):
            yield record
        elif parts is not None:
            yield from (part for part in parts if part is not None)


class UndoneDeletes:
    """Reads the log of a database from its creation, and judges what comes after this object's.

    Args:
        file: the database file; its server must not compact it meanwhile.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = sum(1 for _ in transactions(file.read_bytes()))

    def found(self) -> list[Undone]:
        """The deletions since then that a later transaction has undone."""
        log = list(transactions(self._file.read_bytes()))
        assert len(log) >= self._start, f"{self._file} has been compacted"
        name = next(record["name"] for record in log if "tables" in record)
        history = _History(TABLES[name])
        for index, record in enumerate(log):
            history.follow(record, judged=index >= self._start)
        return history.found


class _History:
    """The contents of a database's tables, and what was missing in between."""

    def __init__(self, tables: Mapping[str, Identities]) -> None:
        self._tables = tables
        self._rows: dict[str, Columns] = {}
        self._present: Counter[Identity] = Counter()
        self._missing: dict[Identity, tuple[int, str]] = {}
        self.found: list[Undone] = []

    def follow(self, record: dict[str, Any], *, judged: bool) -> None:
        """Follow one transaction; note in `found` what it brings back, if `judged`."""
        difference: Counter[Identity] = Counter()
        for table in self._tables.keys() & record.keys():
            for uuid, changes in record[table].items():
                before = self._rows.pop(uuid, None)
                if before is not None:
                    difference.subtract(self._tables[table](before))
                if changes is not None:
                    after = self._rows[uuid] = (before or {}) | changes
                    difference.update(self._tables[table](after))
        date, comment = record.get("_date", 0), record.get("_comment", "")
        for item, number in difference.items():
            was = self._present[item] > 0
            self._present[item] += number
            if was and not self._present[item] and judged:
                self._missing[item] = date, comment
            elif not was and self._present[item] and item in self._missing:
                since, deleted = self._missing.pop(item)
                self.found.append(Undone(item, deleted, comment, date - since))

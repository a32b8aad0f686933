"""Why a database refused a write, in an operator's words. Pure.

Called by the engine for a key that was refused in a transaction of its own, and for what a verb
writes. Invariant: the server's
text is parsed, and never shown. The patterns are those of ovsdb/transaction.c and ovsdb/error.c.
"""

import re
from dataclasses import fields, is_dataclass
from typing import Any

from isthmus.engine.transactions import NOT_PERMITTED, Failed, Work
from isthmus.engine.view import View
from isthmus.model.indexes import GATEWAYS_BY_NAME
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import ROW_TYPES, AvailabilityZone, Database, IcEncap, Row, RowId

_DUPLICATE = re.compile(
    r'multiple rows in "(?P<table>\w+)" table to have identical values \((?P<value>.*)\) for index'
    r" on columns? (?P<columns>.*?)\.  First row, with UUID (?P<first>[-0-9a-f]{36}).*"
    r"Second row, with UUID (?P<second>[-0-9a-f]{36})",
    re.DOTALL,
)
_IN_USE = re.compile(r"cannot delete (?P<table>\w+) row")
_DANGLING = re.compile(
    r"Table (?P<table>\w+) column .* references nonexistent row .* in table (\w+)"
)

_OWNERS = ("name", "logical_port", "gateway_name", "chassis_name")
"""The columns that name a row, or what it belongs to."""

_UNKNOWN = (
    "the server refused the change for a reason that is not known here",
    "read the server's log, and the log of this daemon at level dbg",
)
_OLD_SCHEMA = (
    "the database's schema lacks a table or a column",
    "upgrade the schema to that of this release of OVN",
)
_NOT_COMMITTED = (
    "the database's cluster did not commit the change",
    "check that most of its members run (`isthmus ic-db status`)",
)
_BY_ERROR = {
    "constraint violation": (
        "the database's schema does not allow a value",
        "upgrade the schema, or correct the object that the value comes from",
    ),
    "syntax error": _OLD_SCHEMA,
    "unknown column": _OLD_SCHEMA,
    "unknown table": _OLD_SCHEMA,
    "cluster error": _NOT_COMMITTED,
    "not leader": _NOT_COMMITTED,
    "I/O error": ("the server cannot write to its disk", "check the server's disk, and its log"),
}
"""Message and remedy by the error of the reply."""


def refusal(view: View, work: Work, failed: Failed) -> Problem:
    """The problem of a key that was refused, with the cause and the other party."""
    reconciler, key = work
    subject = Subject(f"database {reconciler.writes}", reconciler.name, _shown(key))
    message, remedy, reason = cause(view, reconciler.writes, failed)
    return subject.problem(f"{message}; it will be retried", remedy, reason)


def cause(view: View, database: Database, failed: Failed) -> tuple[str, str, Reason]:
    """Message, remedy and reason of a refusal; a view without rows cannot name the other party."""
    if failed.error == NOT_PERMITTED:
        return *_not_permitted(failed), Reason.NOT_PERMITTED
    if "No space left" in failed.details:
        message = f"the disk of the server of {database} is full, so nothing is written"
        return message, "free space on that disk", Reason.DISK_FULL
    return *_constraint(view, database, failed), Reason.WRITE_REFUSED


def _shown(key: Any) -> str:
    """A reconciler's key as text; empty for what has just one object."""
    if isinstance(key, tuple):
        return " ".join(filter(None, map(_shown, key)))
    if is_dataclass(key):
        return _shown(tuple(getattr(key, field.name) for field in fields(key)))
    return "" if key is None else str(key)


def _not_permitted(failed: Failed) -> tuple[str, str]:
    if failed.details.startswith("RBAC"):
        message = "the server's access control does not permit the change"
        return message, "use a certificate whose role may write this table (ovn-sb(5), RBAC_Role)"
    remedy = (
        "check that the certificate of this zone carries the zone's name (az-name) and that no"
        " other zone uses the same object; `isthmus ic-db status` on the proxy's host lists what"
        " was refused"
    )
    return f"the authorizing proxy refused the change ({failed.details})", remedy


def _constraint(view: View, database: Database, failed: Failed) -> tuple[str, str]:
    """Message and remedy."""
    if found := _DUPLICATE.search(failed.details):
        columns, value = (found[part].replace('"', "") for part in ("columns", "value"))
        holder = _holder(view, database, found["table"], (found["first"], found["second"]))
        message = f"{holder} already has the {columns} {value}"
        return message, "remove or change one of the two"
    if found := _IN_USE.search(failed.details):
        message = f"another row still refers to the {found['table']} row to remove"
        return message, "look for another client that writes the same rows"
    if found := _DANGLING.search(failed.details):
        message = f"the {found[2]} row to which the {found['table']} row refers has been removed"
        return message, "look for another client that removes rows of this zone"
    return _BY_ERROR.get(failed.error, _UNKNOWN)


def _holder(view: View, database: Database, table: str, uuids: tuple[str, str]) -> str:
    """The row of a unique value that exists already, and its zone."""
    kinds = [k for k in ROW_TYPES if table == k.TABLE and k.DATABASE is database]
    rows = (view.get(kind, RowId(uuid)) for kind in kinds for uuid in uuids)
    row = next(filter(None, rows), None)
    if row is None:
        return f"another {table} row"
    names = (getattr(row, column, "") for column in _OWNERS)
    zone = view.get(AvailabilityZone, _zone(view, row))
    of_zone = f" of zone {zone.name}" if zone is not None and zone is not row else ""
    return f"{table} {next(filter(None, names), '')}".rstrip() + of_zone


def _zone(view: View, row: Row) -> RowId | None:
    """The zone that a row belongs to."""
    if isinstance(row, IcEncap):
        gateway = view.one(GATEWAYS_BY_NAME, row.gateway_name)
        return gateway.availability_zone if gateway is not None else None
    return getattr(row, "availability_zone", None)

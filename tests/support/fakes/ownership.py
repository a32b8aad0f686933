"""Which zone may write which shared rows: the table in ARCHITECTURE.md, for transactions."""

from isthmus.model.operations import Delete, Insert, Mutate, Operation, Ref, Update, Wait
from isthmus.model.rows import (
    AvailabilityZone,
    Gateway,
    IcDatapathBinding,
    IcEncap,
    IcNbGlobal,
    IcPortBinding,
    IcRoute,
    IcSbGlobal,
    IcServiceMonitor,
    RowId,
    TransitSwitch,
)
from support.fakes.ovsdb import FakeDatabase

ZONES_OWN = (Gateway, IcPortBinding, IcRoute)
SHARED = (IcDatapathBinding, IcEncap, IcSbGlobal, TransitSwitch, IcNbGlobal)


def trespass(operation: Operation, zone: RowId | None, ic_sb: FakeDatabase) -> str | None:
    """Why a zone may not run an operation, or None.

    Args:
        operation: on an IC database.
        zone: the UUID of the zone's row before the transaction; None if it has none yet.
        ic_sb: before the transaction.
    """
    table = operation.table
    if isinstance(operation, Wait) or table in SHARED:
        return _trespass_shared(operation)
    if isinstance(operation, Insert):
        owner = operation.row.get("availability_zone")
        theirs = table in ZONES_OWN and owner != Ref(zone or RowId(""))
        return f"inserts a {table.TABLE} for zone {owner}" if theirs else None
    if table is IcServiceMonitor:
        return _trespass_monitor(operation, zone, ic_sb)
    row = ic_sb.tables[table].get(operation.uuid)
    owner = operation.uuid if table is AvailabilityZone else row and row["availability_zone"]
    if row is not None and owner != zone:
        return f"{operation} is about a row of another zone"
    return None


def _trespass_monitor(operation: Operation, zone: RowId | None, ic_sb: FakeDatabase) -> str | None:
    """A request belongs to its source zone; its target zone may set the status."""
    assert not isinstance(operation, Insert)
    row = ic_sb.tables[IcServiceMonitor].get(operation.uuid)
    name = ic_sb.tables[AvailabilityZone].get(zone or RowId(""), {}).get("name")
    if row is None or row["source_availability_zone"] == name:
        return None
    answers = isinstance(operation, Update) and set(operation.row) == {"status"}
    if answers and row["target_availability_zone"] == name:
        return None
    return f"{operation} is about another zone's request"


def _trespass_shared(operation: Operation) -> str | None:
    match operation:
        case Delete(table, _) if table is TransitSwitch:
            return "deletes a transit switch"
        case Update(table, _, row) if (
            table in {IcSbGlobal, TransitSwitch} and "external_ids" in row
        ):
            return "overwrites claims that are not its own"
        case Mutate(table, _, mutations) if table in {IcSbGlobal, TransitSwitch}:
            if any(column != "external_ids" for column, _, _ in mutations):
                return f"changes more than the claims of {table.TABLE}"
    return None

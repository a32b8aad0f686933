"""What operators read when a database refuses a write: the cause, never the server's text."""

from collections.abc import Iterable

import pytest

from isthmus.engine.reconciler import Reconciler
from isthmus.engine.refusals import refusal
from isthmus.engine.transactions import Failed
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.operations import Operation
from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.model.rows import AvailabilityZone, Database, Gateway, IcEncap, RowId

THEIRS, OURS = "ca1ecd4e-c9cc-4963-84e9-3d411d1297ab", "ece8f30d-83c5-4e1f-9d5a-fec79e152679"


class Writes(Reconciler[tuple[str, str]]):
    """A reconciler of IC-SB."""

    name = "gateways"
    writes = Database.IC_SB

    def keys(self) -> Iterable[tuple[str, str]]:
        return ()

    def reconcile(self, key: tuple[str, str]) -> Iterable[Operation]:
        raise NotImplementedError


def duplicate(table: str, columns: str, value: str) -> Failed:
    """The answer of ovsdb-server 3.5 for a row that exists already."""
    return Failed(
        "constraint violation",
        f'Transaction causes multiple rows in "{table}" table to have identical values ({value})'
        f" for index on {columns}.  First row, with UUID {OURS}, was inserted by this transaction."
        f"  Second row, with UUID {THEIRS}, existed in the database before this transaction and was"
        " not modified by the transaction.",
    )


def explained(failed: Failed, *changes: Change) -> Problem:
    """The problem of a refused key, after changes of the view."""
    view = View()
    for change in changes:
        view.apply(change)
    return refusal(view, (Writes(), ("az1", "node-1")), failed)


def test_the_zone_that_holds_a_unique_value_is_named() -> None:
    """A tunnel IP of another zone's gateway."""
    zone = AvailabilityZone(uuid=RowId("z"), name="az2")
    gateway = Gateway(uuid=RowId("g"), name="chassis-2", availability_zone=RowId("z"))
    encap = IcEncap(uuid=RowId(THEIRS), type="geneve", ip="10.0.0.1", gateway_name="chassis-2")
    added = (Change(None, row) for row in (zone, gateway, encap))
    columns = 'columns "type" and "ip"'
    problem = explained(duplicate("Encap", columns, 'geneve and "10.0.0.1"'), *added)
    assert problem.message.startswith(
        "Encap chassis-2 of zone az2 already has the type and ip geneve and 10.0.0.1;"
    )
    assert problem.remedy == "remove or change one of the two"
    assert (problem.key, problem.value) == ("gateways", "az1 node-1")


def test_a_row_that_is_not_known_is_named_by_its_table() -> None:
    """The other row may have been inserted just now."""
    problem = explained(duplicate("Availability_Zone", 'column "name"', "az1"))
    assert problem.message.startswith("another Availability_Zone row already has the name az1;")


@pytest.mark.parametrize(
    ("failed", "said", "reason"),
    [
        (
            Failed("I/O error", "/etc/ovn/x.db: write failed: No space left on device"),
            "the disk of the server of OVN_IC_Southbound is full, so nothing is written",
            Reason.DISK_FULL,
        ),
        (Failed("I/O error", "x: Input/output error"), "the server cannot write to its disk", None),
        (
            Failed("referential integrity violation", f"cannot delete Gateway row {OURS} because of"
                   " 2 remaining reference(s)"),
            "another row still refers to the Gateway row to remove",
            None,
        ),
        (
            Failed("referential integrity violation", f"Table Gateway column encaps row {OURS}"
                   f" references nonexistent row {THEIRS} in table Encap."),
            "the Encap row to which the Gateway row refers has been removed",
            None,
        ),
        (
            Failed("constraint violation", "9999999 is not in the valid range 1 to 32767"),
            "the database's schema does not allow a value",
            None,
        ),
        (
            Failed("unknown column", "No column nope in table Availability_Zone."),
            "the database's schema lacks a table or a column",
            None,
        ),
        (
            Failed("cluster error", "not leader"),
            "the database's cluster did not commit the change",
            None,
        ),
        (
            Failed("permission error", 'RBAC rules for client "a" role "b" prohibit it'),
            "the server's access control does not permit the change",
            Reason.NOT_PERMITTED,
        ),
        (Failed("odd", "{'a': 1}"), "the server refused the change for a reason that is not", None),
    ],
)  # fmt: skip
def test_causes_are_named(failed: Failed, said: str, reason: Reason | None) -> None:
    """Each with a remedy, and without the server's words."""
    problem = explained(failed)
    assert problem.message.startswith(said)
    assert problem.reason is (reason or Reason.WRITE_REFUSED)
    assert failed.details not in str(problem)
    assert problem.remedy

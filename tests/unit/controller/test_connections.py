"""Which changes of a transit switch other transit switches depend on."""

from collections.abc import Mapping

import pytest

from isthmus.controller.connections import rivals_changed
from isthmus.model.changes import Change
from isthmus.model.rows import RowId, TransitSwitch

MARKS = {"subnet": "169.254.100.0/24", "vendor": "kube-ovn"}


def row(name: str = "ts", ids: Mapping[str, str] = MARKS) -> TransitSwitch:
    """One transit switch."""
    return TransitSwitch(uuid=RowId("u"), name=name, external_ids=ids)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, row(), True),
        (row(), None, True),
        (row(), row("renamed"), True),
        (row(), row(ids={**MARKS, "subnet": "169.254.101.0/24"}), True),
        (row(), row(ids={**MARKS, "vendor": "acme"}), True),
        (row(), row(ids={**MARKS, "isthmus-network": "blue"}), True),
        (row(), row(ids={**MARKS, "isthmus-address-169.254.100.1": "az1/u"}), False),
    ],
)
def test_what_may_decide_between_transit_switches_of_one_subnet(
    before: TransitSwitch | None, after: TransitSwitch | None, *, expected: bool
) -> None:
    """Names and marks decide which is connected; address claims, which change often, do not."""
    assert rivals_changed(Change(before, after)) is expected

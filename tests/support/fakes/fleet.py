"""Several zones on one pair of IC databases."""

from typing import Any, Generic, TypeVar

from isthmus.model.operations import Delete, Insert
from isthmus.model.rows import Database, RowId, TransitSwitch
from support.fakes.controlled_zone import ControlledZone
from support.fakes.ovsdb import FakeDatabase, MakeDatabase
from support.fakes.zone import Zone

AnyZone = TypeVar("AnyZone", bound=Zone)


class BaseFleet(Generic[AnyZone]):
    """The IC databases, and the zones that share them."""

    zones: list[AnyZone]

    def __init__(self, make: MakeDatabase | None = None) -> None:
        self.ic_nb = make(Database.IC_NB, "") if make else FakeDatabase(Database.IC_NB)
        self.ic_sb = (make or self.ic_nb.beside)(Database.IC_SB, "")

    def add_ts(self, name: str, subnets: str = "", vendor: str = "kube-ovn") -> None:
        """Create a transit switch, with `external_ids` only if it has subnets."""
        ids = {"subnet": subnets, "vendor": vendor} if subnets else {}
        self.ic_nb.transact([Insert(TransitSwitch, {"name": name, "external_ids": ids})])

    def drop_ts(self, name: str) -> None:
        """Delete a transit switch."""
        self.ic_nb.transact([Delete(TransitSwitch, RowId(self.ts(name)["_uuid"]))])

    def ts(self, name: str = "ts") -> dict[str, Any]:
        """The row of a transit switch."""
        return next(row for row in self.ic_nb.rows(TransitSwitch) if row["name"] == name)

    def settle(self, limit: int = 100) -> None:
        """Run every zone's northd and engine until none has anything left to do."""
        for _ in range(limit):
            worked = [zone.work() for zone in self.zones]  # all of them, before any result counts
            if not any(worked):
                return
        raise AssertionError(f"not settled after {limit} rounds")


class Fleet(BaseFleet[Zone]):
    """Zones with an exchange engine only."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.zones = [Zone(name, self.ic_nb, self.ic_sb) for name in names]


class ControlledFleet(BaseFleet[ControlledZone]):
    """Zones with a controller, and the transit switch `ts`."""

    def __init__(
        self,
        *names: str,
        subnets: str = "169.254.100.0/24",
        make: MakeDatabase | None = None,
    ) -> None:
        super().__init__(make)
        self.add_ts("ts", subnets)
        self.zones = [
            ControlledZone(name, number, self.ic_nb, self.ic_sb, make)
            for number, name in enumerate(names, start=1)
        ]

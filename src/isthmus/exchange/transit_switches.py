"""Transit switches: their tunnel keys in IC-SB, and their copies in NB."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.exchange.lookup import INTERCONN_TS, REQUESTED_TNL_KEY, Lookup
from isthmus.exchange.zone import OwnZone
from isthmus.model.changes import Change
from isthmus.model.operations import Delete, Insert, Operation, set_keys
from isthmus.model.rows import Database, IcDatapathBinding, LogicalSwitch, Row, TransitSwitch
from isthmus.reconcile.reconciler import Reconciler, Watch

GLOBAL_KEYS = range((1 << 24) - (1 << 16) + 1, 1 << 24)
"""The part of the 24-bit key space that OVN keeps for interconnection."""


class TransitSwitchKeys(Reconciler[str]):
    """One IC-SB datapath binding per transit switch; the key is the switch's name.

    Every zone does this. Two that choose at the same time choose the same free key, so the
    unique index of the table refuses the second, which then finds the first one's row.
    """

    name: ClassVar[str] = "transit switch keys"
    writes: ClassVar[Database | None] = Database.IC_SB

    def __init__(self, lookup: Lookup, zone: OwnZone) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone
        self._handed_out: set[int] = set()

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {TransitSwitch: ts_names, IcDatapathBinding: ts_names}

    def keys(self) -> Iterable[str]:
        yield from (ts.name for ts in self._lookup.transit_switches)
        yield from (datapath.transit_switch for datapath in self._lookup.datapaths)

    def batch_done(self) -> None:
        self._handed_out.clear()

    def reconcile(self, key: str) -> Iterable[Operation]:
        if self._zone.current is None:
            return
        datapaths = list(self._lookup.datapaths_by_ts.all(key))
        if self._lookup.ts_by_name.one(key) is None:
            spare = datapaths
        elif not datapaths:
            yield Insert(IcDatapathBinding, {"transit_switch": key, "tunnel_key": self._free_key()})
            return
        else:
            # Duplicates come from zones that raced; all zones keep the same one.
            spare = sorted(datapaths, key=lambda row: row.tunnel_key)[1:]
        for datapath in spare:
            yield Delete(IcDatapathBinding, datapath.uuid)

    def _free_key(self) -> int:
        taken = self._lookup.datapath_by_key
        key = next(
            key for key in GLOBAL_KEYS if key not in self._handed_out and taken.one(key) is None
        )
        self._handed_out.add(key)
        return key


class TransitSwitchCopies(Reconciler[str]):
    """A logical switch in NB per transit switch; the key is the switch's name."""

    name: ClassVar[str] = "transit switches"
    writes: ClassVar[Database | None] = Database.NB

    def __init__(self, lookup: Lookup, zone: OwnZone) -> None:
        super().__init__()
        self._lookup, self._zone = lookup, zone

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            TransitSwitch: ts_names,
            IcDatapathBinding: ts_names,
            LogicalSwitch: interconn_names,
        }

    def keys(self) -> Iterable[str]:
        yield from (ts.name for ts in self._lookup.transit_switches)
        yield from self._lookup.switch_by_ts.keys()

    def reconcile(self, key: str) -> Iterator[Operation]:
        if self._zone.current is None:
            return
        switches = list(self._lookup.switch_by_ts.all(key))
        if self._lookup.ts_by_name.one(key) is None:
            for switch in switches:
                yield Delete(LogicalSwitch, switch.uuid)
            return
        tunnel_key = self._tunnel_key(key)
        config = {INTERCONN_TS: key, **tunnel_key}
        if not switches and not tunnel_key:
            return  # northd would choose a key of its own first, and change it later
        if not switches:
            yield Insert(LogicalSwitch, {"name": key, "other_config": config})
            return
        switch = min(switches, key=lambda row: row.uuid)
        if any(switch.other_config.get(name) != value for name, value in config.items()):
            yield set_keys(LogicalSwitch, switch.uuid, "other_config", config)

    def _tunnel_key(self, ts: str) -> dict[str, str]:
        """The key to request from northd: never one that is not committed in IC-SB."""
        keys = [datapath.tunnel_key for datapath in self._lookup.datapaths_by_ts.all(ts)]
        return {REQUESTED_TNL_KEY: str(min(keys))} if keys else {}


def ts_names(change: Change) -> Iterable[str]:
    """The transit switches that a change of IC rows is about."""
    for side in change.sides:
        if isinstance(side, TransitSwitch):
            yield side.name
        elif isinstance(side, IcDatapathBinding):
            yield side.transit_switch


def interconn_names(change: Change) -> Iterable[str]:
    """The transit switches whose copy in NB a change is about."""
    for side in change.sides:
        if isinstance(side, LogicalSwitch) and INTERCONN_TS in side.other_config:
            yield side.other_config[INTERCONN_TS]

"""Transit switches: their tunnel keys in IC-SB, and their copies in NB."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from isthmus.engine.reconciler import AnyReconciler, Reconciler, Watch
from isthmus.engine.view import View
from isthmus.exchange.zones.registration import Only, OwnZone, watch_only
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    DATAPATHS_BY_TS,
    DATAPATHS_BY_TUNNEL_KEY,
    IC_ENCAPS_BY_TYPE,
    SWITCH_PORTS,
    SWITCHES_BY_TS,
    TRANSIT_SWITCHES_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, Operation, Ref, Update, Value, set_keys
from isthmus.model.ovn_keys import INTERCONN_TS, REQUESTED_TNL_KEY
from isthmus.model.rows import (
    Database,
    IcDatapathBinding,
    IcEncap,
    IcNbGlobal,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    TransitSwitch,
)

GLOBAL_KEYS = range((1 << 24) - (1 << 16) + 1, 1 << 24)
"""The part of the 24-bit key space that OVN keeps for interconnection."""

VXLAN_KEYS = range(1 << 10, 1 << 12)
"""Where tunnels are VXLAN, 12 bits are left for the datapath."""

VXLAN_MODE = "ic-vxlan_mode"
TRANSIT_SWITCH, TRANSIT_ROUTER = "transit-switch", "transit-router"


class VxlanMode(Reconciler[Only]):
    """Whether tunnel keys must fit into VXLAN; derived from options and encaps.

    Attributes:
        on: `IC_NB_Global.options:vxlan_mode` is true and some gateway has a VXLAN encap.
        dependents: looked at anew when it changes.
    """

    name: ClassVar[str] = "VXLAN mode"

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.on = False
        self.dependents: Sequence[AnyReconciler] = ()

    def watches(self) -> Mapping[type[Row], Watch[Only]]:
        return watch_only((IcNbGlobal, IcEncap))

    def keys(self) -> Iterable[Only]:
        return [()]

    def reconcile(self, key: Only) -> Iterable[Operation]:
        ic_global = self._view.single(IcNbGlobal)
        asked = ic_global is not None and ic_global.options.get("vxlan_mode") == "true"
        before, self.on = self.on, asked and self._view.one(IC_ENCAPS_BY_TYPE, "vxlan") is not None
        if before != self.on:
            for dependent in self.dependents:
                dependent.mark(dependent.keys())
        return ()

    @property
    def keys_allowed(self) -> range:
        """The tunnel keys that datapaths may have."""
        return VXLAN_KEYS if self.on else GLOBAL_KEYS


class DatapathKeys:
    """Tunnel keys of IC-SB datapaths, of transit switches and transit routers alike.

    Every zone allocates. Two that choose at the same time choose the same free key, so a unique
    index refuses the second, which then finds the first one's row. Newer schemas let two
    datapaths have one key; then those whose rows have the greater UUIDs move.
    """

    def __init__(self, view: View, mode: VxlanMode) -> None:
        self._view, self._mode = view, mode
        self._handed_out: set[int] = set()

    def fits(self, have: IcDatapathBinding) -> bool:
        """Whether a row may keep its key."""
        same = self._view.all(DATAPATHS_BY_TUNNEL_KEY, have.tunnel_key)
        allowed = have.tunnel_key in self._mode.keys_allowed
        return allowed and min(row.uuid for row in same) == have.uuid

    def choose(self) -> int:
        """A free key; it stays taken until `forget`, when the transaction has ended."""
        taken = self._view.index(DATAPATHS_BY_TUNNEL_KEY)
        key = next(
            key
            for key in self._mode.keys_allowed
            if key not in self._handed_out and taken.one(key) is None
        )
        self._handed_out.add(key)
        return key

    def forget(self) -> None:
        """The keys handed out are in the view by now, or were not taken."""
        self._handed_out.clear()

    def neighbours(self, change: Change) -> Iterator[IcDatapathBinding]:
        """The rows whose keys a change of another row affects."""
        for side in change.sides:
            if isinstance(side, IcDatapathBinding):
                yield from self._view.all(DATAPATHS_BY_TUNNEL_KEY, side.tunnel_key)


class TransitSwitchKeys(Reconciler[str]):
    """One IC-SB datapath binding per transit switch; the key is the switch's name."""

    name: ClassVar[str] = "transit switch keys"
    writes: ClassVar[Database | None] = Database.IC_SB

    def __init__(self, view: View, zone: OwnZone, tunnel_keys: DatapathKeys) -> None:
        super().__init__()
        self._view, self._zone, self._tunnel_keys = view, zone, tunnel_keys

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {TransitSwitch: ts_names, IcDatapathBinding: self._of_datapath}

    def _of_datapath(self, change: Change) -> Iterator[str]:
        yield from ts_names(change)
        yield from (row.transit_switch for row in self._tunnel_keys.neighbours(change))

    def keys(self) -> Iterable[str]:
        yield from (ts.name for ts in self._view.table(TransitSwitch))
        yield from (datapath.transit_switch for datapath in self._view.table(IcDatapathBinding))

    def batch_done(self) -> None:
        self._tunnel_keys.forget()

    def reconcile(self, key: str) -> Iterable[Operation]:
        if self._zone.current is None:
            return
        rows = self._view.all(DATAPATHS_BY_TS, key)
        datapaths = sorted(
            (row for row in rows if row.type != TRANSIT_ROUTER),
            key=lambda row: (row.tunnel_key, row.uuid),
        )
        ts = self._view.one(TRANSIT_SWITCHES_BY_NAME, key)
        # Duplicates come from zones that raced; all zones keep the same one.
        for datapath in datapaths if ts is None else datapaths[1:]:
            yield Delete(IcDatapathBinding, datapath.uuid)
        if ts is not None and datapaths:
            yield from self._update(datapaths[0], ts)
        elif ts is not None:
            row = {
                "transit_switch": key,
                "tunnel_key": self._tunnel_keys.choose(),
                **self._marks(ts),
            }
            yield Insert(IcDatapathBinding, row)

    def _marks(self, ts: TransitSwitch) -> dict[str, Value]:
        """What newer schemas say beside the name."""
        if not self._view.schema.has(IcDatapathBinding, "nb_ic_uuid"):
            return {}
        return {"type": TRANSIT_SWITCH, "nb_ic_uuid": Ref(ts.uuid)}

    def _update(self, have: IcDatapathBinding, ts: TransitSwitch) -> Iterator[Operation]:
        row: dict[str, Value] = {}
        if not self._tunnel_keys.fits(have):
            row["tunnel_key"] = self._tunnel_keys.choose()
        marks = self._marks(ts)
        if marks and (have.type, have.nb_ic_uuid) != (TRANSIT_SWITCH, ts.uuid):
            row |= marks
        if row:
            yield Update(IcDatapathBinding, have.uuid, row)


class TransitSwitchCopies(Reconciler[str]):
    """A logical switch in NB per transit switch; the key is the switch's name."""

    name: ClassVar[str] = "transit switches"
    writes: ClassVar[Database | None] = Database.NB

    def __init__(self, view: View, zone: OwnZone, mode: VxlanMode) -> None:
        super().__init__()
        self._view, self._zone, self._mode = view, zone, mode

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {
            TransitSwitch: ts_names,
            IcDatapathBinding: ts_names,
            LogicalSwitch: interconn_names,
        }

    def keys(self) -> Iterable[str]:
        yield from (ts.name for ts in self._view.table(TransitSwitch))
        yield from self._view.index(SWITCHES_BY_TS).keys()

    def reconcile(self, key: str) -> Iterator[Operation]:
        if self._zone.current is None:
            return
        switches = list(self._view.all(SWITCHES_BY_TS, key))
        if self._view.one(TRANSIT_SWITCHES_BY_NAME, key) is None:
            for switch in switches:
                yield Delete(LogicalSwitch, switch.uuid)
            return
        tunnel_key = self._tunnel_key(key)
        config = {INTERCONN_TS: key, **tunnel_key, **self._vxlan_mode()}
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
        rows = self._view.all(DATAPATHS_BY_TS, ts)
        keys = [row.tunnel_key for row in rows if row.type != TRANSIT_ROUTER]
        return {REQUESTED_TNL_KEY: str(min(keys))} if keys else {}

    def _vxlan_mode(self) -> dict[str, str]:
        # Versions without sequence numbers in IC-NB (before 24.03) do not know the mode either.
        if not self._view.schema.has(IcNbGlobal, "nb_ic_cfg"):
            return {}
        return {VXLAN_MODE: "true" if self._mode.on else "false"}


def transit_switch_of(view: View, lsp: LogicalSwitchPort) -> str | None:
    """The name of the transit switch whose copy in NB has this port, or None."""
    switch = view.parent(SWITCH_PORTS, lsp.uuid)
    return None if switch is None else switch.other_config.get(INTERCONN_TS)


def ports_on_copies(view: View, ts: str) -> Iterator[LogicalSwitchPort]:
    """The ports on the copies of a transit switch in NB."""
    for switch in view.all(SWITCHES_BY_TS, ts):
        yield from view.children(SWITCH_PORTS, switch.uuid)


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

"""Transit switches: their datapath bindings in IC-SB, and their copies in NB."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from isthmus.engine.reconciler import Watch
from isthmus.engine.view import View
from isthmus.exchange.topology.tunnel_keys import DatapathKeys, VxlanMode
from isthmus.exchange.zones.own_zone import OwnZone, ZoneReconciler
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    DATAPATHS_BY_TS,
    IC_PORTS_BY_NAME,
    SWITCH_PORTS,
    SWITCHES_BY_TS,
    TRANSIT_SWITCHES_BY_NAME,
)
from isthmus.model.operations import Delete, Insert, Operation, Ref, Value, set_keys
from isthmus.model.ovn_keys import (
    INTERCONN_TS,
    REQUESTED_TNL_KEY,
    TRANSIT_ROUTER,
    TRANSIT_SWITCH,
    VXLAN_MODE,
    requested_key,
    transit_switch_named,
)
from isthmus.model.rows import (
    AvailabilityZone,
    Database,
    IcDatapathBinding,
    IcNbGlobal,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
    TransitSwitch,
)


class TransitSwitchKeys(ZoneReconciler[str]):
    """One IC-SB datapath binding per transit switch; the key is the switch's name."""

    name: ClassVar[str] = "transit switch keys"
    writes: ClassVar[Database] = Database.IC_SB
    indexes = (TRANSIT_SWITCHES_BY_NAME, DATAPATHS_BY_TS)

    def __init__(self, view: View, zone: OwnZone, tunnel_keys: DatapathKeys) -> None:
        super().__init__(view, zone)
        self._tunnel_keys = tunnel_keys

    def watches(self) -> Mapping[type[Row], Watch[str]]:
        return {**super().watches(), IcDatapathBinding: self._of_datapath}

    def _of_datapath(self, change: Change) -> Iterator[str]:
        yield from DATAPATHS_BY_TS.affected(change)
        yield from (row.transit_switch for row in self._tunnel_keys.neighbours(change))

    def batch_done(self) -> None:
        self._tunnel_keys.release()

    def align(self, key: str, zone: AvailabilityZone) -> Iterable[Operation]:
        rows = self._view.all(DATAPATHS_BY_TS, key)
        ts = self._view.one(TRANSIT_SWITCHES_BY_NAME, key)
        return self._tunnel_keys.align(
            (row for row in rows if row.type != TRANSIT_ROUTER),
            None if ts is None else self._columns(ts),
            self._present_key(key),
        )

    def _present_key(self, ts: str) -> int:
        """The key that our copy has; 0 for none.

        If IC-SB has lost its row, no zone needs to change the key that packets carry.
        """
        copies = self._view.all(SWITCHES_BY_TS, ts)
        return next(filter(None, (requested_key(copy.other_config) for copy in copies)), 0)

    def _columns(self, ts: TransitSwitch) -> dict[str, Value]:
        columns: dict[str, Value] = {"transit_switch": ts.name}
        if self._view.schema.has(IcDatapathBinding, "nb_ic_uuid"):
            columns |= {"type": TRANSIT_SWITCH, "nb_ic_uuid": Ref(ts.uuid)}
        return columns


class TransitSwitchCopies(ZoneReconciler[str]):
    """A logical switch in NB per transit switch; the key is the switch's name."""

    name: ClassVar[str] = "transit switches"
    writes: ClassVar[Database] = Database.NB
    indexes = (TRANSIT_SWITCHES_BY_NAME, DATAPATHS_BY_TS, SWITCHES_BY_TS)

    def __init__(self, view: View, zone: OwnZone, mode: VxlanMode) -> None:
        super().__init__(view, zone)
        self._mode = mode

    def align(self, key: str, zone: AvailabilityZone) -> Iterator[Operation]:
        switches = list(self._view.all(SWITCHES_BY_TS, key))
        if self._view.one(TRANSIT_SWITCHES_BY_NAME, key) is None:
            for switch in switches:
                yield Delete(LogicalSwitch, switch.uuid)
            return
        tunnel_key = self._tunnel_key(key)
        config = {INTERCONN_TS: key, **tunnel_key, **self._vxlan_mode()}
        if not switches and not tunnel_key:
            return  # northd would first choose a key of its own, and change it later
        if not switches:
            yield Insert(LogicalSwitch, {"name": key, "other_config": config})
            return
        switch = min(switches, key=lambda row: row.uuid)
        if any(switch.other_config.get(name) != value for name, value in config.items()):
            yield set_keys(LogicalSwitch, switch.uuid, "other_config", config)

    def _tunnel_key(self, ts: str) -> dict[str, str]:
        """The key to request from northd: only one that is committed in IC-SB."""
        rows = self._view.all(DATAPATHS_BY_TS, ts)
        keys = [row.tunnel_key for row in rows if row.type != TRANSIT_ROUTER]
        return {REQUESTED_TNL_KEY: str(min(keys))} if keys else {}

    def _vxlan_mode(self) -> dict[str, str]:
        # Versions without sequence numbers in IC-NB (before 24.03) do not have the mode either.
        if not self._view.schema.has(IcNbGlobal, "nb_ic_cfg"):
            return {}
        return {VXLAN_MODE: "true" if self._mode.on else "false"}


def transit_switch_of(view: View, lsp: LogicalSwitchPort) -> str | None:
    """The name of the transit switch whose copy in NB has this port, or None."""
    switch = view.parent(SWITCH_PORTS, lsp.uuid)
    return None if switch is None else transit_switch_named(switch)


def ports_on_copies(view: View, ts: str) -> Iterator[LogicalSwitchPort]:
    """The ports on the copies of a transit switch in NB."""
    for switch in view.all(SWITCHES_BY_TS, ts):
        yield from view.children(SWITCH_PORTS, switch.uuid)


def port_keys(view: View) -> Iterator[str]:
    """The names of all ports on copies of transit switches in NB, and in IC-SB."""
    yield from view.index(IC_PORTS_BY_NAME).keys()
    for ts in tuple(view.index(SWITCHES_BY_TS).keys()):
        yield from (lsp.name for lsp in ports_on_copies(view, ts))

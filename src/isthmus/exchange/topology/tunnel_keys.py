"""Tunnel keys: which are allowed, and which is free.

All zones allocate keys in IC-SB at the same time. Two that choose at the same moment choose the
same free key. Where a unique index refuses the second row, that zone chooses again after it has
seen the first. A key that was chosen stays reserved until its transaction has ended.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain
from typing import ClassVar

from isthmus.engine.reconciler import DerivedState, Only, SingleKey
from isthmus.engine.view import View
from isthmus.model.changes import Change
from isthmus.model.indexes import (
    DATAPATHS_BY_TUNNEL_KEY,
    IC_ENCAPS_BY_TYPE,
    ROUTERS_BY_TR,
    SWITCHES_BY_TS,
)
from isthmus.model.operations import Delete, Insert, Operation, Value, update
from isthmus.model.ovn_keys import GLOBAL_KEYS, VXLAN_KEYS, requested_key
from isthmus.model.rows import IcDatapathBinding, IcEncap, IcNbGlobal, Row

PORT_KEYS = range(1, 1 << 15)
"""The keys of ports on one transit switch or router."""


class VxlanMode(SingleKey, DerivedState[Only, bool]):
    """Whether tunnel keys must fit into VXLAN.

    Attributes:
        on: `IC_NB_Global.options:vxlan_mode` is true and some gateway has a VXLAN encap.
    """

    name: ClassVar[str] = "VXLAN mode"
    tables: ClassVar[tuple[type[Row], ...]] = (IcNbGlobal, IcEncap)

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.on = False

    def derive(self, key: Only) -> Iterable[bool]:
        ic_global = self._view.single(IcNbGlobal)
        requested = ic_global is not None and ic_global.options.get("vxlan_mode") == "true"
        has_vxlan = self._view.one(IC_ENCAPS_BY_TYPE, "vxlan") is not None
        before, self.on = self.on, requested and has_vxlan
        return () if before == self.on else (self.on,)


class DatapathKeys:
    """Chooses the keys of IC-SB datapaths, of transit switches and transit routers alike.

    Newer schemas let two datapaths have one key. Then those whose rows have the greater UUIDs get
    another one.

    If IC-SB has lost its rows, the copies in NB show which keys packets carry. A copy keeps its
    key, and no other datapath gets it.
    """

    def __init__(self, view: View, mode: VxlanMode) -> None:
        self._view, self._mode = view, mode
        self._reserved: set[int] = set()
        self._carried: frozenset[int] | None = None

    @property
    def _allowed(self) -> range:
        return VXLAN_KEYS if self._mode.on else GLOBAL_KEYS

    def align(
        self,
        rows: Iterable[IcDatapathBinding],
        columns: Mapping[str, Value] | None,
        preferred: int = 0,
    ) -> Iterator[Operation]:
        """Keep one row, with these columns and a key that fits.

        Args:
            rows: of one transit switch or router; zones that raced have created duplicates, and
                all zones keep the same one.
            columns: None if there is no such switch or router.
            preferred: the key of a new row if it is free; 0 for none.
        """
        have = sorted(rows, key=lambda row: (row.tunnel_key, row.uuid))
        for row in have if columns is None else have[1:]:
            yield Delete(IcDatapathBinding, row.uuid)
        if columns is None:
            return
        if not have:
            yield Insert(IcDatapathBinding, {**columns, "tunnel_key": self._choose(preferred)})
            return
        kept = have[0]
        key = kept.tunnel_key if self._fits(kept) else self._choose()
        yield from update(kept, {**columns, "tunnel_key": key})

    def _fits(self, have: IcDatapathBinding) -> bool:
        """Whether a row may keep its key."""
        same = self._view.all(DATAPATHS_BY_TUNNEL_KEY, have.tunnel_key)
        return have.tunnel_key in self._allowed and min(row.uuid for row in same) == have.uuid

    def _choose(self, preferred: int = 0) -> int:
        """A free key, which stays reserved until `release`."""
        taken, allowed = self._view.index(DATAPATHS_BY_TUNNEL_KEY), self._allowed
        if self._carried is None:
            self._carried = frozenset(self._of_copies())
        first = (preferred,) if preferred in allowed else ()
        keys = chain(first, (key for key in allowed if key not in self._carried), allowed)
        free = (key for key in keys if key not in self._reserved and taken.one(key) is None)
        key = next(free)
        self._reserved.add(key)
        return key

    def _of_copies(self) -> Iterator[int]:
        switches, routers = self._view.index(SWITCHES_BY_TS), self._view.index(ROUTERS_BY_TR)
        for name in tuple(switches.keys()):
            yield from (requested_key(switch.other_config) for switch in switches.all(name))
        for name in tuple(routers.keys()):
            yield from (requested_key(router.options) for router in routers.all(name))

    def release(self) -> None:
        """End the reservations: the keys are in the view by now, or were not used."""
        self._reserved.clear()
        self._carried = None

    def neighbours(self, change: Change) -> Iterator[IcDatapathBinding]:
        """The rows whose keys a change of another row affects."""
        for side in change.of(IcDatapathBinding):
            yield from self._view.all(DATAPATHS_BY_TUNNEL_KEY, side.tunnel_key)


class PortKeys:
    """Chooses the keys of ports within transit switches or routers."""

    def __init__(self) -> None:
        self._reserved: dict[str, set[int]] = {}

    def choose(self, datapath: str, taken: Container[int], preferred: int = 0) -> int:
        """A free key, which stays reserved until `release`.

        Args:
            datapath: the name of the transit switch or router.
            taken: the keys in use there.
            preferred: chosen if it is free; 0 for none.
        """
        reserved = self._reserved.setdefault(datapath, set())
        first = (preferred,) if preferred in PORT_KEYS else ()
        keys = chain(first, PORT_KEYS)
        key = next(key for key in keys if key not in taken and key not in reserved)
        reserved.add(key)
        return key

    def release(self) -> None:
        """End the reservations: the keys are in the view by now, or were not used."""
        self._reserved.clear()

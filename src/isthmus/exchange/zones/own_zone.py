"""Which row of IC-SB `Availability_Zone` is ours, and the base of all reconcilers that need it."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from typing import ClassVar, TypeVar

from isthmus.engine.reconciler import DerivedState, Only, Reconciler, SingleKey
from isthmus.engine.view import View
from isthmus.model.external_ids import zone_claim
from isthmus.model.indexes import ZONES_BY_NAME
from isthmus.model.operations import Operation
from isthmus.model.rows import AvailabilityZone, IcSbGlobal, NbGlobal, Row

K = TypeVar("K", bound=Hashable)


class OwnZone(SingleKey, DerivedState[Only, AvailabilityZone | None]):
    """Our zone; it changes when another row, or a row of another name, is ours.

    Attributes:
        current: the row, or None: then no reconciler of the exchange may write.
    """

    name: ClassVar[str] = "own zone"
    tables: ClassVar[tuple[type[Row], ...]] = (NbGlobal, IcSbGlobal, AvailabilityZone)

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.current: AvailabilityZone | None = None

    def derive(self, key: Only) -> Iterable[AvailabilityZone | None]:
        before, self.current = self.current, self._find()
        return () if _identity(before) == _identity(self.current) else (self.current,)

    def _find(self) -> AvailabilityZone | None:
        nb_global = self._view.single(NbGlobal)
        ic_global = self._view.single(IcSbGlobal)
        if nb_global is None or ic_global is None or not nb_global.name:
            return None
        if ic_global.external_ids.get(zone_claim(nb_global.name)) != nb_global.uuid:
            return None
        return self._view.one(ZONES_BY_NAME, nb_global.name)


def _identity(zone: AvailabilityZone | None) -> tuple[str, str] | None:
    """What other rows refer to: most of them to the UUID, some to the name."""
    return None if zone is None else (zone.uuid, zone.name)


class ZoneReconciler(Reconciler[K]):
    """A reconciler whose objects belong to our zone; without one it writes nothing.

    Args:
        view: shared with the engine.
        zone: ours.
    """

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone

    def reconcile(self, key: K) -> Iterable[Operation]:
        self.report(key)
        zone = self._zone.current
        return () if zone is None else self.align(key, zone)

    @abstractmethod
    def align(self, key: K, zone: AvailabilityZone) -> Iterable[Operation]:
        """The operations that make the object of `key` as wanted; its problems are cleared."""

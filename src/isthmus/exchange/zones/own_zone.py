"""Which row of IC-SB `Availability_Zone` is ours, and the base of all reconcilers that need it."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar, TypeVar

from isthmus.engine.reconciler import DerivedState, Only, Reconciler, SingleKey, Watch
from isthmus.engine.view import View
from isthmus.model.external_ids import zone_claim
from isthmus.model.indexes import ZONES_BY_NAME, IndexOf
from isthmus.model.operations import Operation
from isthmus.model.rows import AvailabilityZone, IcSbGlobal, NbGlobal, Row, RowId

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


def zone_name(view: View, uuid: RowId) -> str:
    """The name of a zone; "?" if its row is gone."""
    zone = view.get(AvailabilityZone, uuid)
    return zone.name if zone is not None else "?"


class ZoneReconciler(Reconciler[K]):
    """A reconciler whose objects belong to our zone; without one it writes nothing.

    Attributes:
        indexes: those that have the rows of an object under its key.
    """

    indexes: ClassVar[tuple[IndexOf[Any], ...]] = ()

    def __init__(self, view: View, zone: OwnZone) -> None:
        super().__init__()
        self._view, self._zone = view, zone

    def watches(self) -> Mapping[type[Row], Watch[K]]:
        """A change of a row in one of `indexes` affects its keys there.

        Problems name zones, so the keys that have any are affected if a zone's row changes.
        """
        of_rows = {index.table: index.affected for index in self.indexes}
        return {AvailabilityZone: lambda _: tuple(self.problems), **of_rows}

    def keys(self) -> Iterable[K]:
        """All keys of `indexes`."""
        return chain.from_iterable(self._view.index(index).keys() for index in self.indexes)

    def reconcile(self, key: K) -> Iterable[Operation]:
        self.report(key)
        zone = self._zone.current
        return () if zone is None else self.align(key, zone)

    @abstractmethod
    def align(self, key: K, zone: AvailabilityZone) -> Iterable[Operation]:
        """The operations that make the object of `key` as wanted; its problems are cleared."""

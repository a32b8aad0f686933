"""Rows that others delete or change as often as they are set back: set back ever more rarely. Pure.

The first repairs of a key are made at once. From then on each one waits, twice as long as the one
before, so that two clients that disagree do not keep a server busy. When a key needed no repair for
a while, its next one is the first again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from isthmus.engine.repairs import Repair
from isthmus.engine.transactions import Work
from isthmus.model.bounds import REPAIRS
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database, Row

FREE = REPAIRS.most
"""Repairs of a key that are made at once."""

DELAY_FIRST, DELAY_MOST = 0.2, 10.0
"""Seconds that the next repair of the key waits, and at most."""

QUIET = 60.0
"""Seconds without a repair after which a fight is over."""


@dataclass(slots=True)
class _Fight:
    """The repairs of a key; `last` and `due` in monotonic seconds.

    Args:
        waited: whether it is due after it has waited.
        entry: the number of its time.
    """

    repairs: int
    last: float
    kinds: frozenset[type[Row]]
    waited: bool = False
    entry: int = -1

    @property
    def damped(self) -> bool:
        return self.repairs > FREE

    @property
    def due(self) -> float:
        """When the key may be handled."""
        # The exponent is bounded, as a float is.
        exponent = min(self.repairs - FREE - 1, 16)
        return self.last + (min(DELAY_FIRST * 2**exponent, DELAY_MOST) if self.damped else 0)


class Fights:
    """The keys that were repaired lately.

    Each has one next time: when it is due, or when its fight is over.
    """

    def __init__(self) -> None:
        self._fights: dict[Work, _Fight] = {}
        self._waiting: dict[Work, None] = {}
        self._order = count()
        self._times: list[tuple[float, int, Work]] = []
        """A heap; an entry whose number is not that of its fight any more is void."""

    def note(self, work: Iterable[Work], repairs: Iterable[Repair], now: float) -> None:
        """Note what a transaction has repaired, on behalf of all its keys.

        What a key has waited for is a repair in any case, although too long ago to be in `repairs`.
        """
        kinds = frozenset(type(repair.row) for repair in repairs)
        for each in work:
            known = self._fights.get(each)
            if kinds or (known and known.waited):
                before = known or _Fight(0, now, kinds)
                fight = _Fight(before.repairs + 1, now, kinds or before.kinds)
                self._fights[each] = fight
                self._waiting.pop(each, None)
                self._wake_at(now + QUIET, each, fight)

    def delays(self, work: Work, *, needed: bool, now: float) -> bool:
        """Whether what a key needs, if it needs anything, must wait."""
        fight = self._fights.get(work)
        if fight is None:
            return False
        waits = needed and now < fight.due
        if waits and work not in self._waiting:
            self._waiting[work] = None
            self._wake_at(fight.due, work, fight)
        elif not waits and work in self._waiting:
            del self._waiting[work]
            self._wake_at(fight.last + QUIET, work, fight)
        return waits

    def wake(self, now: float) -> None:
        """Mark the keys that have waited, and discard the fights that are over."""
        due: list[Work] = []
        while (moment := self.next_wakeup()) is not None and moment <= now:
            due.append(heappop(self._times)[2])
        for work in due:
            if work not in self._waiting:
                del self._fights[work]
                continue
            fight = self._fights[work]
            fight.waited = True
            del self._waiting[work]
            self._wake_at(fight.last + QUIET, work, fight)
            reconciler, key = work
            reconciler.mark((key,))
            reconciler.last_reason = "others undid its last repairs"

    @property
    def waiting(self) -> Collection[Work]:
        """The keys that wait."""
        return self._waiting.keys()

    def next_wakeup(self) -> float | None:
        """When `wake` has something to do: monotonic seconds."""
        while self._times:
            moment, number, work = self._times[0]
            fight = self._fights.get(work)
            if fight is not None and fight.entry == number:
                return moment
            heappop(self._times)
        return None

    def _wake_at(self, moment: float, work: Work, fight: _Fight) -> None:
        fight.entry = next(self._order)
        heappush(self._times, (moment, fight.entry, work))

    def problems(self) -> set[Problem]:
        """One for each table, while the fight continues."""
        tables = {
            (kind.DATABASE, kind.TABLE)
            for fight in self._fights.values()
            if fight.damped
            for kind in fight.kinds
        }
        return {_problem(database, table) for database, table in tables}


def _problem(database: Database, table: str) -> Problem:
    return Subject(f"database {database}", f"table {table}").problem(
        "another client deletes or changes rows as often as they are set back, so each is set back"
        f" only every {DELAY_MOST:g} s; meanwhile traffic that needs them is interrupted",
        "stop that client: our log names the rows, and the database's log has the comment of each"
        " transaction (`ovsdb-tool -m show-log FILE`)",
        Reason.ROWS_OVERWRITTEN,
    )

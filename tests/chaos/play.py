"""Inject random faults into a real cluster while clients write, and judge the result.

Called by `run` and by the test.
"""

import heapq
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from chaos.field import Field
from chaos.history import Key, Outcome, Value, Write, from_lines
from chaos.judge import (
    Claim,
    claims_in_log,
    different_members,
    refused_but_done,
    rival_leaders,
    wrong_rows,
)
from chaos.plan import Fault, View, choose
from chaos.spans import Span, longest_silence, resumptions
from chaos.watch import Watch
from isthmus_lab.topology.layout import NETNS_DIR, TAG
from support.icdb.network import IcNet
from support.icdb.run import DATABASES
from support.ovn.servers import wait_until

CLIENTS = 3
"""Number of clients, each of which writes to both databases."""

TICK = 0.05
STUCK = 120.0
"""Seconds within which members must recover after all faults have been undone."""


@dataclass(slots=True)
class Report:
    """The result of a run.

    Args:
        size: the number of members.
        seed: of the random choices.
        faults: counted by kind.
        writes: counted by outcome.
        elections: counted by database.
        silence: the longest time in seconds without an acknowledged write while there was a
            majority.
        resumed: seconds from each return of a majority to the first acknowledged write.
        seconds: duration of all faults.
        wrong: violations, as sentences.
        remarkable: observations that violate nothing.
    """

    size: int
    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    elections: dict[str, int] = field(default_factory=dict)
    silence: float = 0.0
    resumed: list[float] = field(default_factory=list)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    remarkable: list[str] = field(default_factory=list)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Record an assertion that failed, and continue with the rest of the judgement."""
        try:
            yield
        except AssertionError as error:
            self.wrong.append(str(error))

    def __str__(self) -> str:
        done = f"{self.faults.total()} faults in {self.seconds:.0f} s"
        silence = f"{self.silence:.1f} s"
        lines = [
            f"{self.size} members, seed {self.seed}: {done}: {_counted(self.faults)}",
            f"writes: {_counted(self.writes)}",
            f"elections: {_counted(self.elections)}",
            f"a majority was back {len(self.resumed)} times{self._resumed()}",
            f"longest time without an acknowledged write while a majority was up: {silence}",
            *self.remarkable,
            *(f"WRONG: {fault}" for fault in self.wrong),
        ]
        return "\n".join(lines)

    def _resumed(self) -> str:
        if not self.resumed:
            return ""
        middle, most = median(self.resumed), max(self.resumed)
        return f"; writes resumed after {middle:.1f} s (median), at most {most:.1f} s"


def play(
    net: IcNet, seed: int, faults: int, say: Callable[[str], None] = lambda _line: None
) -> Report:
    """Start the members, let clients write, inject faults, undo them all, and judge.

    Args:
        net: members that have not been started.
        seed: of the random choices.
        faults: number of faults.
        say: called with each fault.
    """
    report = Report(len(net.all), seed)
    net.start()
    field_ = Field(net)
    spans = {short: _Spans() for short in DATABASES}
    with Watch(field_) as watch:
        wait_until(watch.complete, "all members are in contact", STUCK)
        with _clients(net) as clients:
            started = time.monotonic()
            _Storm(field_, watch, spans, report, say).blow(faults)
            report.seconds = time.monotonic() - started
            back = time.monotonic()
            with report.failures():
                written = partial(clients.all_wrote_since, back)
                wait_until(written, "every client writes again", STUCK)
            for timeline in spans.values():
                timeline.note(up=False, at=time.monotonic())
        contents = _settled(net)
        claims = watch.claims
    writes = clients.writes()
    _judge(report, writes, contents, [*claims, *_claims(net)])
    _time(report, writes, spans)
    report.wrong += field_.surprises
    return report


class _Spans:
    """The spans of time with a majority."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.all: list[Span] = []

    def note(self, up: bool, at: float) -> None:
        if up and self._since is None:
            self._since = at
        elif not up and self._since is not None:
            self.all.append(Span(self._since, at))
            self._since = None


class _Storm:
    """Injects one fault after another and undoes each when its time is up."""

    def __init__(
        self,
        field_: Field,
        watch: Watch,
        spans: Mapping[str, _Spans],
        report: Report,
        say: Callable[[str], None],
    ) -> None:
        self._field, self._watch, self._spans = field_, watch, spans
        self._report, self._say = report, say
        self._undoing: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def blow(self, faults: int) -> None:
        """Inject all faults, then undo them and wait until the cluster is complete."""
        with self._report.failures():
            self._rage(faults)
        while self._undoing:
            heapq.heappop(self._undoing)[2]()
        with self._report.failures():
            deadline = time.monotonic() + STUCK
            while not self._watch.complete():
                self._turn()
                assert time.monotonic() < deadline, f"not whole again: {self._view()}"

    def _rage(self, faults: int) -> None:
        due = possible = time.monotonic()
        number = 0
        while number < faults:
            self._turn()
            now = time.monotonic()
            if now < due:
                continue
            fault = choose(self._report.seed, number, self._view())
            if fault is None:
                assert now - possible < STUCK, f"no fault is possible any more: {self._view()}"
                continue
            self._apply(fault, number)
            number += 1
            possible = time.monotonic()
            due = possible + fault.pause

    def _turn(self) -> None:
        self._watch.pause(TICK)
        while self._undoing and self._undoing[0][0] <= time.monotonic():
            heapq.heappop(self._undoing)[2]()
        self._field.restart_ended()
        self._note()

    def _note(self) -> None:
        for short, spans in self._spans.items():
            spans.note(self._watch.majority(short), time.monotonic())

    def _apply(self, fault: Fault, number: int) -> None:
        self._say(f"{number}: {fault}")
        undo = self._field.apply(fault)
        self._report.faults[fault.kind.value] += 1
        if fault.duration is not None:
            at = time.monotonic() + fault.duration
            heapq.heappush(self._undoing, (at, next(self._order), undo))
        self._note()

    def _view(self) -> View:
        frozen = frozenset(number for number, _ in tuple(self._field.frozen))
        return View(
            size=self._report.size,
            sound=self._watch.sound(),
            running=self._field.running,
            frozen=frozen,
            parted=self._field.parted,
            leaders=self._watch.leaders(),
            complete=self._watch.complete(),
        )


class _Clients:
    """The processes of the clients and their records."""

    def __init__(self, net: IcNet) -> None:
        self._files = [net.all[0].directory.parent / f"client{n}.jsonl" for n in range(CLIENTS)]
        enter = ("nsenter", f"--net={NETNS_DIR / net.netns(None)}")
        tie = ("setpriv", "--pdeathsig", "KILL")
        program = (sys.executable, "-m", "chaos.client")
        remotes = [net.remotes(short) for short in DATABASES]
        self._processes = [
            subprocess.Popen(
                [*tie, *enter, *program, f"c{n}", str(n), *remotes, str(file)],
                env={**os.environ, TAG: net.layout.lab, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for n, file in enumerate(self._files)
        ]  # fmt: skip

    def writes(self) -> list[Write]:
        """All writes, those of each client in order."""
        return [write for file in self._files for write in self._of(file)]

    def all_wrote_since(self, moment: float) -> bool:
        """Whether each client has got an acknowledgement in both databases for a write sent since
        then."""
        assert all(process.poll() is None for process in self._processes), "a client ended"
        return all(
            {w.database for w in self._of(file) if _acknowledged(w) and w.started > moment}
            == set(DATABASES)
            for file in self._files
        )

    def stop(self) -> None:
        """Let them finish their last writes and exit."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(STUCK)

    @staticmethod
    def _of(file: Path) -> list[Write]:
        return from_lines(file.read_text().splitlines(keepends=True)) if file.exists() else []


@contextmanager
def _clients(net: IcNet) -> Iterator[_Clients]:
    clients = _Clients(net)
    try:
        wait_until(lambda: clients.all_wrote_since(0.0), "every client writes", STUCK)
        yield clients
    finally:
        clients.stop()


def _acknowledged(write: Write) -> bool:
    return write.outcome is Outcome.ACKNOWLEDGED


_COLUMNS = {
    "nb": ("Transit_Switch", ["_uuid", "name", "external_ids"]),
    "sb": ("Datapath_Binding", ["_uuid", "transit_switch", "tunnel_key"]),
}
"""The columns to compare: all except `_version`, which each server generates."""


def _settled(net: IcNet) -> dict[str, dict[str, list[object]]]:
    """The rows of all members, once they are equal or a time limit is reached."""

    def rows() -> dict[str, dict[str, list[object]]]:
        return {
            f"m{number}": {short: _rows(net, short, number) for short in DATABASES}
            for number in range(len(net.all))
        }

    deadline = time.monotonic() + STUCK
    while different_members(found := rows()) and time.monotonic() < deadline:
        pass
    return found


def _rows(net: IcNet, short: str, number: int) -> list[object]:
    table, columns = _COLUMNS[short]
    select = {"op": "select", "table": table, "where": [], "columns": columns}
    [result] = net.transact(short, select, at=[net.all[number]])
    return sorted(result["rows"], key=lambda row: json.dumps(row["_uuid"]))


def _values(contents: Mapping[str, list[object]]) -> dict[tuple[str, Key], Value]:
    """Values by database and key."""
    found: dict[tuple[str, Key], Value] = {}
    for short, rows in contents.items():
        for row in rows:
            assert isinstance(row, dict)
            if short == "nb":
                marks = dict(row["external_ids"][1])
                if "chaos" in marks:  # Members create a transit switch themselves.
                    found[short, Key(row["name"])] = int(marks["chaos"])
            else:
                found[short, Key(row["transit_switch"])] = row["tunnel_key"]
    return found


def _claims(net: IcNet) -> Iterator[Claim]:
    for number, member in enumerate(net.all):
        for short in DATABASES:
            log = member.run_dir / f"ovsdb-server-ic-{short}.log"
            lines = log.read_text(errors="replace").splitlines()
            yield from claims_in_log(short, f"the log of m{number}", lines)


def _judge(
    report: Report,
    writes: Sequence[Write],
    contents: Mapping[str, Mapping[str, list[object]]],
    claims: Sequence[Claim],
) -> None:
    finals = {member: _values(dict(found)) for member, found in contents.items()}
    report.wrong += wrong_rows(writes, finals)
    report.wrong += different_members(contents)
    report.wrong += rival_leaders(claims)
    report.writes.update(write.outcome.value for write in writes)
    for short in DATABASES:
        terms = {claim.term for claim in claims if claim.database == short}
        report.elections[short] = len(terms)
    refused = Counter(write.error for write in writes if write.outcome is Outcome.REFUSED)
    done = refused_but_done(writes, next(iter(finals.values())))
    if refused:
        report.remarkable.append(f"refused: {_counted(refused)}; {len(done)} of these were done")


def _time(report: Report, writes: Sequence[Write], spans: Mapping[str, _Spans]) -> None:
    for short, timeline in spans.items():
        acknowledged = sorted(w.ended for w in writes if _acknowledged(w) and w.database == short)
        report.silence = max(report.silence, longest_silence(timeline.all, acknowledged))
        # The first span does not follow a loss of the majority.
        report.resumed += resumptions(timeline.all[1:], acknowledged)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))

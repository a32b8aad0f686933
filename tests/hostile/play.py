"""Attack a fleet for a while, from all sides at once, and watch what it does to others.

Each attacker is a thread with its own random choices, which depend on the seed only.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random

from hostile.configuration import CONFIGURATION, ConfigurationAttack, good_again
from hostile.door import Door
from hostile.fleet import FLOWS, HONEST, Fleet
from hostile.floods import FLOODS, MODEST, Attack
from hostile.health import MOST_MIB, Health, is_flat
from hostile.relay import LIES, RelayAttack, honest_again
from hostile.rows import BEHIND_THE_PROXY, BY_ANY_ZONE, WITHOUT_PROXY
from isthmus.ovsdb.jsonrpc import RpcError
from support.lab.traffic import Traffic

STEP_S = 5.0
"""Seconds between two checks of the fleet."""

Anything = Callable[[Random], None]
"""An attack of any kind, with its choices."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What happened.

    Args:
        seconds: how long the attacks lasted.
        attacks: how many there were, by kind.
        sent, lost: pings by flow.
        changes: how long each change of az1 took to arrive in az2, in seconds.
        largest: the largest memory by process, in MiB.
        memory: after the warm-up and at the end, in MiB; empty if there was no time to warm up.
        wrong: what must not happen.
    """

    seconds: float = 0.0
    attacks: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    changes: list[float] = field(default_factory=list)
    largest: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def play(fleet: Fleet, seed: int, seconds: float, warm: float, say: Say, only: str = "") -> Report:
    """Attack.

    Args:
        fleet: the fleet; healthy.
        seed: of all choices.
        seconds: how long.
        warm: seconds after which memory must be flat; no check if there is no time after them.
        say: called with lines of progress.
        only: a part of the names of the attacks to make; empty for all.
    """
    health, report = Health.of(fleet.joined.lab.layout.lab), Report()
    attackers = Attackers(fleet, seed, report, only)
    with Traffic(fleet.joined.lab, FLOWS, ()) as traffic:
        traffic.cut(5)
        began = time.monotonic()
        # Elsewhere attackers have machines of their own, and do not take the fleet's time.
        with _less_important():
            attackers.start()
        try:
            _watch(fleet, health, traffic, report, began + seconds, say)
        finally:
            attackers.stop()
        report.seconds = time.monotonic() - began
        fleet.clean()
        fleet.wait_until_healthy()
        _count(traffic, report)
    report.wrong += [f"changed by a recompute: {row}" for row in fleet.recomputed()]
    _judge(health, report, warm)
    return report


@contextmanager
def _less_important() -> Iterator[None]:
    """Give a low priority to the threads that the body starts, and to their children."""
    thread, before = threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, thread, before + 10)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, thread, before)


def _watch(
    fleet: Fleet, health: Health, traffic: Traffic, report: Report, until: float, say: Say
) -> None:
    began, closed = time.monotonic(), False
    while (now := time.monotonic()) < until and not report.wrong:
        closed = not closed
        fleet.change(closed=closed)
        report.changes.append(time.monotonic() - now)
        _count(traffic, report)
        health.measure(time.monotonic() - began)
        report.wrong += [f"ended: {name}" for name in health.ended()]
        memory = max(samples[-1][1] for samples in health.samples.values())
        say(
            f"{now - began:5.0f} s: {report.attacks.total()} attacks,"
            f" {_lost(report)} of {report.sent.total()} pings lost,"
            f" change after {report.changes[-1]:.1f} s, largest RSS {memory:.0f} MiB"
        )
        threading.Event().wait(max(0.0, min(until, now + STEP_S) - time.monotonic()))
    if closed:
        fleet.change(closed=False)


def _count(traffic: Traffic, report: Report) -> None:
    for flow, pings in traffic.cut(1).pings.items():
        report.sent[str(flow)] += pings.sent
        report.lost[str(flow)] += pings.lost


def _lost(report: Report) -> str:
    """How many pings were lost, first those of the flows that must lose none."""
    honest = sum(report.lost[str(flow)] for flow in HONEST)
    return f"{honest} + {report.lost.total() - honest}"


def _judge(health: Health, report: Report, warm: float) -> None:
    report.wrong += [f"ended: {name}" for name in health.ended()]
    report.wrong += [
        f"{report.lost[str(flow)]} pings lost: {flow}" for flow in HONEST if report.lost[str(flow)]
    ]
    report.largest = health.largest()
    report.wrong += [
        f"{name}: {mib:.0f} MiB" for name, mib in report.largest.items() if mib > MOST_MIB
    ]
    if report.seconds > 2 * warm:
        report.memory = health.grown(warm, report.seconds)
        report.wrong += [
            f"{name} has grown from {first:.0f} to {last:.0f} MiB"
            for name, (first, last) in report.memory.items()
            if not is_flat(first, last)
        ]


class Attackers:
    """All attackers.

    Args:
        fleet: what they attack.
        seed: of their choices.
        report: where they count.
        only: a part of the names of the attacks to make; empty for all.
    """

    def __init__(self, fleet: Fleet, seed: int, report: Report, only: str) -> None:
        self._fleet, self._report = fleet, report
        self._stop = threading.Event()
        self._log = (fleet.joined.lab.layout.root / "attacks.log").open("a", buffering=1)
        guarded = {**FLOODS, **BY_ANY_ZONE, **BEHIND_THE_PROXY}
        wanted = {
            "proxy": (2, self._through(fleet.proxy, guarded)),
            "plain": (1, self._through(fleet.plain, {**MODEST, **BY_ANY_ZONE, **WITHOUT_PROXY})),
            "configuration": (1, {name: self._configure(do) for name, do in CONFIGURATION.items()}),
            "relay": (1, {name: self._lie(do) for name, do in LIES.items()}),
        }
        self._threads = []
        for side, (count, attacks) in wanted.items():
            named = {f"{side}: {name}": do for name, do in sorted(attacks.items())}
            left = {name: do for name, do in named.items() if only in name}
            for number in range(count if left else 0):
                choices = Random(f"{seed} {side} {number}")  # noqa: S311 - no secret
                self._threads.append(threading.Thread(target=self._attack, args=(choices, left)))

    def start(self) -> None:
        """Start to attack."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, after the attacks that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._log.close()

    def _attack(self, choices: Random, attacks: Mapping[str, Anything]) -> None:
        names = list(attacks)
        while not self._stop.is_set():
            name = choices.choice(names)
            self._report.attacks[name] += 1
            self._log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {name}\n")
            try:
                attacks[name](choices)
            except (OSError, RpcError):
                continue  # refused, or the connection was closed: what the fleet should do
            except Exception as error:  # noqa: BLE001 - a fault of the attacker fails the run
                self._report.wrong.append(f"the attack itself failed: {name}: {error!r}")
                return

    @staticmethod
    def _through(door: Door, attacks: Mapping[str, Attack]) -> dict[str, Anything]:
        return {name: partial(_knock, attack, door) for name, attack in attacks.items()}

    def _configure(self, attack: ConfigurationAttack) -> Anything:
        def act(choices: Random) -> None:
            manifests = self._fleet.joined.cluster("az3").manifests
            with good_again(manifests):
                attack(choices, manifests, self._stop)
            self._stop.wait(choices.uniform(0.0, 2.0))

        return act

    def _lie(self, attack: RelayAttack) -> Anything:
        def act(choices: Random) -> None:
            with honest_again(self._fleet.relay):
                attack(choices, self._fleet.relay, self._stop)
            self._stop.wait(choices.uniform(0.0, 5.0))

        return act


def _knock(attack: Attack, door: Door, choices: Random) -> None:
    attack(choices, door)

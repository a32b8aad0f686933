"""Cost of learning: start with many remote routes, then single additional routes."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.zone import BenchZone, cpu_seconds, peak_mib
from isthmus.model.operations import Insert
from isthmus.model.rows import AvailabilityZone, IcRoute


@dataclass(frozen=True, slots=True)
class Learning:
    """One daemon with one number of routes; times are medians.

    Args:
        start_s: seconds from the start of the process until all routes are in NB.
        start_cpu_s: CPU seconds of the daemon until it is idle.
        event_latency_ms: milliseconds from the commit of a route in IC-SB until it is in NB.
        event_cpu_ms: CPU milliseconds per additional route; None if too small to measure.
        peak_mib: resident memory.
    """

    daemon: str
    routes: int
    start_s: float
    start_cpu_s: float
    event_latency_ms: float
    event_cpu_ms: float
    peak_mib: float


def measure(daemon: str, routes: int, starts: int, events: int) -> Learning:
    """Start a daemon `starts` times, each with its own databases; add routes to the last one."""
    begun: list[tuple[float, float]] = []
    for turn in range(starts):
        with tempfile.TemporaryDirectory() as directory:
            bench = BenchZone(Path(directory))
            try:
                bench.add_remote(routes)
                pid, seconds = _start(bench, daemon, routes)
                begun.append((seconds, _cpu_at_rest(bench, pid)))
                if turn == starts - 1:
                    latency, cpu = _events(bench, pid, routes, events)
                    memory = peak_mib(pid)
            finally:
                bench.stop()
    return Learning(
        daemon=daemon,
        routes=routes,
        start_s=round(statistics.median(seconds for seconds, _ in begun), 2),
        start_cpu_s=round(statistics.median(cpu for _, cpu in begun), 2),
        event_latency_ms=round(1000 * latency, 2),
        event_cpu_ms=round(1000 * cpu, 2),
        peak_mib=round(memory, 1),
    )


def _start(bench: BenchZone, daemon: str, routes: int) -> tuple[int, float]:
    began = time.monotonic()
    pid = bench.zone.start_daemon(daemon)
    bench.nb.until(lambda: bench.learned() >= routes)
    return pid, time.monotonic() - began


def _cpu_at_rest(bench: BenchZone, pid: int) -> float:
    """The CPU that a daemon has used once it is idle: both daemons process their own writes."""
    used = -1.0
    while cpu_seconds(pid) > used:
        used = cpu_seconds(pid)
        rest = time.monotonic() + 0.5
        bench.nb.until(lambda rest=rest: time.monotonic() >= rest)  # type: ignore[misc]
    return used


def _events(bench: BenchZone, pid: int, routes: int, events: int) -> tuple[float, float]:
    zone = next(iter(bench.ic_sb.rows[AvailabilityZone]))
    latencies = []
    before = cpu_seconds(pid)
    for n in range(routes, routes + events):
        began = time.monotonic()
        bench.ic_sb.write([Insert(IcRoute, bench.route(zone, n))])
        bench.nb.until(lambda n=n: bench.learned() >= n + 1)  # type: ignore[misc]
        latencies.append(time.monotonic() - began)
    return statistics.median(latencies), (_cpu_at_rest(bench, pid) - before) / events

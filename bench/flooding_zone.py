"""Memory of a daemon while one zone advertises far more routes than an honest one.

Run by hand: `python -m bench.flooding_zone [ROUTES] [EVENTS]`. Prints the routes that are in NB,
the largest resident memory and the CPU time of the daemon after its start, and what single further
routes of that zone cost.
"""

import sys
import tempfile
import time
from pathlib import Path

from bench.zone import BenchZone, cpu_seconds, peak_mib
from isthmus.model.operations import Insert
from isthmus.model.rows import AvailabilityZone, IcRoute

QUIET = 5.0
"""Seconds without use of CPU after which a daemon is idle."""

LONG = 1800.0
"""Seconds within which a daemon must have read all routes, on a machine with other load."""


def idle(bench: BenchZone, pid: int) -> float:
    """Wait until a daemon is idle; return the CPU seconds that it has used."""
    used, since = -1.0, time.monotonic()

    def is_idle() -> bool:
        nonlocal used, since
        now = cpu_seconds(pid)
        if now > used + 0.1:
            used, since = now, time.monotonic()
        return time.monotonic() > since + QUIET

    bench.nb.until(is_idle, LONG)
    return used


def main() -> None:
    """Measure and print."""
    routes = int(sys.argv[1]) if len(sys.argv) > 1 else 250_000
    events = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with tempfile.TemporaryDirectory() as directory:
        bench = BenchZone(Path(directory))
        try:
            bench.ic_sb.write([Insert(AvailabilityZone, {"name": "flooding"})])
            [zone] = bench.ic_sb.rows[AvailabilityZone]
            bench.ic_sb.write(Insert(IcRoute, bench.route(zone, n)) for n in range(routes))
            pid = bench.zone.start_daemon("isthmus")
            bench.nb.until(lambda: bench.learned() > 0, LONG)
            started = idle(bench, pid)
            print(
                f"{routes} routes: {bench.learned()} in NB, {peak_mib(pid):.0f} MiB,"
                f" {started:.1f} s of CPU",
                flush=True,
            )
            for n in range(routes, routes + events):
                bench.ic_sb.write([Insert(IcRoute, bench.route(zone, n))])
            used = idle(bench, pid) - started
            print(
                f"{events} more: {used / events * 1000:.1f} ms of CPU each, {peak_mib(pid):.0f} MiB"
            )
        finally:
            bench.stop()


if __name__ == "__main__":
    main()

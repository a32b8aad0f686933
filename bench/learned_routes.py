"""Cost of learning: `python -m bench.learned_routes [ROUTES…]`, both daemons in one run."""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.zone import BenchZone, cpu_seconds, peak_mib
from isthmus.model.operations import Insert
from isthmus.model.rows import AvailabilityZone, IcRoute

EVENTS = 20


def measure(daemon: str, routes: int) -> dict[str, object]:
    """Start with `routes` remote routes, then add single ones."""
    with tempfile.TemporaryDirectory() as directory:
        bench = BenchZone(Path(directory))
        try:
            bench.add_remote(routes)
            began = time.monotonic()
            pid = bench.zone.start_daemon(daemon)
            bench.nb.until(lambda: bench.learned() >= routes)
            start = time.monotonic() - began
            start_cpu = cpu_seconds(pid)
            zone = next(iter(bench.ic_sb.rows[AvailabilityZone]))
            latencies = []
            for n in range(routes, routes + EVENTS):
                began = time.monotonic()
                bench.ic_sb.write([Insert(IcRoute, bench.route(zone, n))])
                bench.nb.until(lambda n=n: bench.learned() >= n + 1)
                latencies.append(time.monotonic() - began)
            cpu = (cpu_seconds(pid) - start_cpu) / EVENTS
            return {
                "daemon": daemon,
                "routes": routes,
                "start_s": round(start, 3),
                "start_cpu_s": round(start_cpu, 3),
                "event_latency_ms": round(1000 * statistics.median(latencies), 2),
                "event_cpu_ms": round(1000 * cpu, 2),
                "peak_mib": round(peak_mib(pid), 1),
            }
        finally:
            bench.stop()


def main() -> None:
    """Measure both daemons at each number of routes; JSON on standard output."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [1000, 10000]
    rows = []
    for routes in sizes:
        for daemon in ("isthmus", "ovn-ic"):
            rows.append(measure(daemon, routes))
            print(rows[-1], file=sys.stderr)
    version = subprocess.run(["ovn-ic", "--version"], capture_output=True, text=True, check=True)
    machine = {"python": platform.python_version(), "kernel": platform.release()}
    print(json.dumps({"ovn": version.stdout.split()[1], **machine, "results": rows}, indent=2))


if __name__ == "__main__":
    main()

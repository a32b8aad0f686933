"""All benchmarks, with both daemons in one run: `python -m bench [--quick]`.

Prints progress to standard error, and tables and the path of the JSON file to standard output.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import edits, kubernetes, learned_routes, mesh
from isthmus_lab.kube import assets

RESULTS = Path(__file__).parent / "results"
DAEMONS = ("isthmus", "ovn-ic")


def main() -> None:
    """Measure, print and save the results."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no large cases")
    parser.add_argument(
        "--only", choices=("learned", "mesh", "kubernetes", "edits"), help="run one scenario only"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    arguments = parser.parse_args()
    began = time.strftime("%Y-%m-%d")
    results: dict[str, list[dict[str, Any]]] = {}
    scenarios = {"learned": _learned, "mesh": _mesh, "kubernetes": _kubernetes, "edits": _edits}
    names = {"learned": "learned_routes"}
    for name, scenario in scenarios.items():
        if arguments.only in {None, name}:
            results[names.get(name, name)] = scenario(quick=arguments.quick)
    for name, rows in results.items():
        if rows:
            print(f"\n{name}")
            _print_table(rows)
    facts = {"date": began, "quick": arguments.quick, "versions": _versions(), **_machine()}
    output = arguments.output or RESULTS / f"{began}-ovn-{_versions()['ovn']}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({**facts, **results}, indent=2) + "\n")
    print(f"\n{output}")


def _learned(*, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for routes in (1000, 10000):
        for daemon in DAEMONS:
            slow = daemon == "ovn-ic" and routes > 1000
            events = 2 if slow else 10 if quick else 100
            starts = 1 if quick else 3
            rows.append(asdict(learned_routes.measure(daemon, routes, starts, events)))
            _print_row(rows[-1])
    if not quick:
        rows.append(asdict(learned_routes.measure("isthmus", 100_000, 1, 50)))
        _print_row(rows[-1])
    return rows


def _mesh(*, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for zones in (3,) if quick else (10, 20):
        for daemon in DAEMONS:
            rows.append(asdict(mesh.measure(daemon, zones, 2 if quick else 3)))
            _print_row(rows[-1])
    return rows


def _kubernetes(*, quick: bool) -> list[dict[str, Any]]:
    if missing := assets.missing():
        print(f"kubernetes: skipped, missing programs: {', '.join(missing)}", file=sys.stderr)
        return []
    rows = []
    for subnets, nodes in ((50, 20),) if quick else ((50, 20), (200, 1000), (200, 5000)):
        rows.append(asdict(kubernetes.measure(subnets, nodes, 20 if quick else 100)))
        _print_row(rows[-1])
    return rows


def _edits(*, quick: bool) -> list[dict[str, Any]]:
    rows = [asdict(row) for row in edits.measure(*((3, 2) if quick else (10, 10)))]
    for row in rows:
        _print_row(row)
    return rows


def _print_row(row: dict[str, Any]) -> None:
    print(*(f"{name}={value}" for name, value in row.items()), file=sys.stderr, flush=True)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    table = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _versions() -> dict[str, str]:
    ovn = subprocess.run(["ovn-ic", "--version"], capture_output=True, text=True, check=True)
    return {
        "isthmus": version("isthmus"),
        "ovn": ovn.stdout.split()[1],
        "ovs": version("ovs"),
        "python": platform.python_version(),
    }


def _machine() -> dict[str, Any]:
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown",
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "cpu": model.partition(":")[2].strip() or model,
            "memory_gib": round(pages / 1024**3),
            "kernel": platform.release(),
            "load_1min": round(os.getloadavg()[0], 1),
        }
    }


if __name__ == "__main__":
    main()

"""How long light commands take to start: `python -m bench.startup [--base CHECKOUT]`.

Runs each command of this checkout, and of another one if it is given, in turn with the same
interpreter, so that both meet the same load. Prints medians of wall clock and CPU time in seconds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    ("isthmus.cli.main", "status", "--help"),
    ("isthmus.cli.main", "--help"),
    ("isthmus.cli.main", "zone", "--help"),
    ("isthmus.cli.main", "run", "--help"),
    ("isthmus.cli.health", "live"),
)
"""A module and its arguments. `isthmus-health live` asks no daemon here: there is none."""

RUNS = 21


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup")
    parser.add_argument("--base", type=Path, help="another checkout to compare with")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each command")
    arguments = parser.parse_args()
    here = Path(__file__).parents[1]
    checkouts = [arguments.base, here] if arguments.base else [here]
    print(f"{'command':<32}" + "".join(f"{name!s:>24}" for name in checkouts))
    for command in COMMANDS:
        times: dict[Path, list[tuple[float, float]]] = {each: [] for each in checkouts}
        for _ in range(arguments.runs):
            for checkout in checkouts:
                times[checkout].append(_run(checkout / "src", *command))
        cells = (
            f"{statistics.median(wall):.3f} ({statistics.median(cpu):.3f} CPU)".rjust(24)
            for wall, cpu in (zip(*each, strict=True) for each in times.values())
        )
        print(f"{' '.join(command):<32}" + "".join(cells), flush=True)


def _run(source: Path, module: str, *arguments: str) -> tuple[float, float]:
    """Seconds of wall clock and of CPU that one run takes."""
    program = f"import sys; from {module} import main; sys.argv[0] = 'isthmus'; main()"
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(source), "ISTHMUS_UNIXCTL": "/nonexistent"},
        capture_output=True,
        check=False,
    )
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user
    return wall, cpu - before.children_system


if __name__ == "__main__":
    main()

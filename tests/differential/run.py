"""Run many random histories and record the result: `python -m differential.run`.

Called by `make test-differential`; with `--record`, writes a section of RESULTS.md.
"""

import argparse
import logging
import multiprocessing
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from differential.histories import FLEETS, STEPS, Failure, Player
from support.ovn.servers import INSTALLATION

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Run the seeds given on the command line; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleet", choices=FLEETS, default="plain")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--record", action="store_true", help=f"add a line to {RESULTS.name}")
    arguments = parser.parse_args()
    started = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    parts = [(arguments.fleet, seeds[number :: arguments.jobs]) for number in range(arguments.jobs)]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        failures = [failure for part in pool.imap(_play, parts) for failure in part]
    seconds = time.monotonic() - started
    line = _line(arguments.fleet, seeds, failures, seconds)
    print(line)
    if arguments.record:
        _record(line)
    return 1 if failures else 0


def _play(part: tuple[str, Sequence[int]]) -> list[Failure]:
    fleet, seeds = part
    failures = []
    logging.disable(logging.WARNING)  # warnings of the engine about bad values in histories
    with Player(fleet) as player:
        for seed in seeds:
            failure = player.check(seed)
            if failure is not None:
                print(f"fleet {fleet}: {failure}", flush=True)
                failures.append(failure)
    return failures


def _line(fleet: str, seeds: range, failures: Sequence[Failure], seconds: float) -> str:
    daemons = ", ".join(FLEETS[fleet])
    bad = ", ".join(str(failure.seed) for failure in failures)
    return (
        f"| {datetime.now(UTC):%Y-%m-%d} | {INSTALLATION.version()} | {daemons} | "
        f"{seeds[0]}–{seeds[-1]} | {STEPS} | "
        f"{f'{len(failures)} differ: {bad}' if failures else 'all equal'} | "
        f"{seconds:.0f} s | {platform.machine()}, Python {platform.python_version()} |"
    )


def _record(line: str) -> None:
    with RESULTS.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())

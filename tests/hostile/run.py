"""Attack a fleet for as long as you like: `python -m hostile.run --minutes 60`; needs root.

Called by `make test-hostile`; with `--record` it writes its section of tests/icdb/RESULTS.md.
"""

import argparse
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from hostile.fleet import built_fleet
from hostile.health import FLAT, FLAT_MIB, MOST_MIB
from hostile.play import Report, play
from support.icdb.results import record, table

OUTPUT = Path(__file__).parents[2] / "test-output/hostile"
WARM_S = 600.0


def main() -> int:
    """Run what the command line asks for; return 1 if anything is wrong."""
    arguments = _arguments()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    command = f"make test-hostile MINUTES={arguments.minutes:g} SEED={seed}"
    print(command, flush=True)
    with built_fleet(OUTPUT / str(seed)) as fleet:
        report = play(fleet, seed, arguments.minutes * 60, arguments.warm, _say, arguments.only)
        text = _text(report, arguments.warm)
        print(text)
        if arguments.record:
            record("A fleet under attack", command, text)
        if report.wrong:
            raise SystemExit(1)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="the same again; otherwise a fresh one")
    parser.add_argument("--warm", type=float, default=WARM_S, help="seconds of warm-up")
    parser.add_argument("--only", default="", help="attacks with this in their name")
    parser.add_argument("--record", action="store_true", help="write to RESULTS.md")
    return parser.parse_args()


def _text(report: Report, warm: float) -> str:
    """The section to record: figures and what is wrong."""
    changes = f"{median(report.changes):.1f} s (median), {max(report.changes):.1f} s at most"
    figures = [
        ("time", f"{report.seconds / 60:.0f} min"),
        ("attacks", report.attacks.total()),
        *((f"… {kind}", number) for kind, number in sorted(report.attacks.items())),
        *((f"pings lost, {f}", f"{report.lost[f]} of {n}") for f, n in report.sent.items()),
        ("changes of az1 in az2 during the attacks", len(report.changes)),
        ("… after", changes),
    ]
    rows = [
        (name, f"{mib:.0f}", *(f"{one:.0f}" for one in report.memory.get(name, ())))
        for name, mib in sorted(report.largest.items())
    ]
    columns = ["process", "largest RSS in MiB"]
    columns += [f"after {warm / 60:.0f} min", "at the end"] if report.memory else []
    verdict = [f"- WRONG: {fault}" for fault in report.wrong] or [
        (
            "No process ended, no ping was lost, all rows are as before and as after a recompute,"
            f" no process exceeded {MOST_MIB} MiB, and none grew by more than {FLAT_MIB:.0f} MiB or"
            f" {FLAT:.0%} after the warm-up."
        )
    ]
    return "\n".join([
        ("Three zones behind an authorizing proxy, with pings of 100/s between them. A fourth zone"
        " attacks through the proxy and without it, one zone's operator writes hostile"
        " configuration, and a relay lies to that zone's daemon."),
        "", table(["what", "how many"], figures), table(columns, rows), *verdict,
    ])  # fmt: skip


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

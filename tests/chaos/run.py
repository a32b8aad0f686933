"""Inject many random faults: `python -m chaos.run --faults 1000 --members 3`.

Called by `make test-icdb-chaos`; needs root.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from chaos.history import Outcome
from chaos.play import CLIENTS, Report, play
from support.icdb.network import ic_net
from support.icdb.results import record, table

OUTPUT = Path(__file__).parents[2] / "test-output/icdb-chaos"


def main() -> int:
    """Run what the command line asks for; return 1 if anything is wrong."""
    arguments = _arguments()
    size, faults = arguments.members, arguments.faults
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    command = f"python -m chaos.run --members {size} --faults {faults} --seed {seed}"
    print(command, flush=True)
    with _kept_if_wrong(f"{size}-members-{seed}") as directory, ic_net(directory, size) as net:
        report = play(net, seed, faults, _say if arguments.verbose else _discard)
        print(report)
        if arguments.record:
            record(f"Random faults, {size} members", command, _text(report))
        if report.wrong:
            raise SystemExit(1)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="the same again; otherwise a fresh one")
    parser.add_argument("--verbose", action="store_true", help="name each fault")
    parser.add_argument("--record", action="store_true", help="write to RESULTS.md")
    return parser.parse_args()


@contextmanager
def _kept_if_wrong(name: str) -> Iterator[Path]:
    """A directory for files and logs, which are moved to `OUTPUT` if anything is wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            yield Path(temporary)
        except BaseException:
            sockets = shutil.ignore_patterns("*.sock", "*.ctl")
            shutil.copytree(temporary, OUTPUT / name, ignore=sockets, dirs_exist_ok=True)
            print(f"see {OUTPUT / name}", flush=True)
            raise


def _text(report: Report) -> str:
    """The section to record: figures and violations."""
    middle, most = (median(report.resumed), max(report.resumed)) if report.resumed else (0.0, 0.0)
    figures = [
        ("faults", f"{report.faults.total()} in {report.seconds / 60:.0f} min"),
        *((f"… {kind}", number) for kind, number in report.faults.most_common()),
        ("writes acknowledged", report.writes[Outcome.ACKNOWLEDGED.value]),
        ("writes refused", report.writes[Outcome.REFUSED.value]),
        ("writes with unknown outcome", report.writes[Outcome.UNKNOWN.value]),
        *((f"terms with a leader, {short}", n) for short, n in report.elections.items()),
        ("returns of a majority", len(report.resumed)),
        ("until the next acknowledged write", f"{middle:.1f} s (median), {most:.1f} s at most"),
        ("longest without one while a majority was up", f"{report.silence:.1f} s"),
    ]
    done = f"{CLIENTS} clients wrote to both databases over TCP,"
    done += " like zones, and every update stated the value that it expected."
    verdict = (
        [f"- WRONG: {fault}" for fault in report.wrong]
        if report.wrong
        else ["No acknowledged write was lost, no term had two leaders, all members were equal."]
    )
    notes = [f"- {note}" for note in report.remarkable]
    return "\n".join([done, "", table(["event", "number"], figures), *verdict, *notes])


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def _discard(_line: str) -> None:
    """Discard a line."""


if __name__ == "__main__":
    sys.exit(main())

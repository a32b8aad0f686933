"""Runs all start orders of members, many times: `python -m icdb.orders`; needs root.

Called by `make test-icdb-orders`; with `--record` it writes its section of RESULTS.md. Every round
runs each order once, and one trial of each kind in which members end before the cluster is
complete. When the time is up, the run finishes the trials that have begun, and prints how many of
each kind it has run. Another run, with its own section, can run the rest: `--first 11 --rounds 9`.
"""

import argparse
import multiprocessing
import shlex
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from icdb.trial import Trial, at_once, in_every_order, interrupted, interrupted_bootstrap, play
from support.icdb.results import record, table

SECTION = "Members started in every order"
OUTPUT = Path(__file__).parents[2] / "test-output/icdb-orders"
"""Directory for the members' files of failed trials."""


def _one_of(trials: Iterable[Trial], number: int) -> Trial:
    """Another trial in each round, until all have run."""
    known = list(trials)
    return known[number % len(known)]


KINDS: dict[str, Callable[[int], Iterable[Trial]]] = {
    "three at once": lambda _: [at_once(3)],
    "five at once": lambda _: [at_once(5)],
    "three, in every order": lambda _: in_every_order(3),
    "three, coming and going before the last is there": lambda number: [interrupted(3, number, 6)],
    "five, coming and going before the last is there": lambda number: [interrupted(5, number, 10)],
    "three, one stops during bootstrap": lambda number: [_one_of(interrupted_bootstrap(3), number)],
    "five, one stops during bootstrap": lambda number: [_one_of(interrupted_bootstrap(5), number)],
    "five, in every order": lambda _: in_every_order(5),
}
"""Trials of a round, by its number, which is the seed of random choices."""


@dataclass(frozen=True, slots=True)
class Task:
    """A trial to run.

    Args:
        kind: one of `KINDS`.
        round: its number.
        trial: the actions.
        until: the latest time to begin, in seconds since 1970.
    """

    kind: str
    round: int
    trial: Trial
    until: float


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a trial.

    Args:
        task: the trial.
        seconds: from the last step until all members served; None if it failed.
        failure: the error.
    """

    task: Task
    seconds: float | None
    failure: str = ""


def main() -> int:
    """Run the trials that the command line asks for; 1 if one failed."""
    arguments = _arguments()
    rounds = range(arguments.first, arguments.first + arguments.rounds)
    started = time.time()
    tasks = list(_tasks(arguments.kind or list(KINDS), rounds, started + arguments.minutes * 60))
    played: list[Played] = []
    # A member uses the CPU for a second when it starts, and then waits.
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=50) as pool:
        for one in pool.imap_unordered(_play, tasks):
            if one is not None:
                played.append(one)
                print(_line(one), flush=True)
    text = _text(tasks, played, rounds, arguments.jobs, time.time() - started)
    print(text)
    if arguments.record:
        section = f"{SECTION}, from round {arguments.first} on" if arguments.first else SECTION
        record(section, shlex.join(["python", "-m", "icdb.orders", *sys.argv[1:]]), text)
    return 1 if any(one.seconds is None for one in played) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the number of the first round")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only these; repeatable")
    parser.add_argument("--jobs", type=int, default=4, help="trials at the same time")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no trial after these")
    parser.add_argument("--record", action="store_true", help="write to RESULTS.md")
    return parser.parse_args()


def _tasks(kinds: Iterable[str], rounds: Iterable[int], until: float) -> Iterator[Task]:
    """All trials; the last kind, which has most of them, comes last."""
    for kind in kinds:
        for number in rounds:
            for trial in KINDS[kind](number):
                yield Task(kind, number, trial, until)


def _play(task: Task) -> Played | None:
    """Run a trial, in a process of the pool; None if it is too late."""
    if time.time() > task.until:
        return None
    directory = Path(tempfile.mkdtemp(prefix="isthmus-orders-"))
    try:
        seconds = play(task.trial, directory)
    except Exception:  # noqa: BLE001 - the other trials continue
        kept = OUTPUT / directory.name
        shutil.copytree(directory, kept, ignore=lambda _, names: [n for n in names if n == "run"])
        return Played(task, None, f"{traceback.format_exc()}\nfiles are in {kept}")
    finally:
        shutil.rmtree(directory)
    return Played(task, seconds)


def _line(played: Played) -> str:
    task = played.task
    said = f"round {task.round}: {task.trial}"
    if played.seconds is None:
        return f"FAILED {said}\n{played.failure}"
    return f"{played.seconds:6.1f} s {said}"


def _text(tasks: list[Task], played: list[Played], rounds: range, jobs: int, seconds: float) -> str:
    lines = []
    for kind in dict.fromkeys(task.kind for task in tasks):
        planned = sum(task.kind == kind for task in tasks)
        of_kind = [one for one in played if one.task.kind == kind]
        times = [one.seconds for one in of_kind if one.seconds is not None]
        failed = len(of_kind) - len(times)
        lines.append((
            kind,
            planned,
            len(of_kind),
            failed or "none",
            f"{median(times):.1f} s" if times else "–",
            f"{max(times):.1f} s" if times else "–",
        ))  # fmt: skip
    columns = ["members", "trials planned", "played", "failed", "whole after: median", "most"]
    return f"""\
{len(rounds)} rounds (numbers {rounds[0]} to {rounds[-1]}), {jobs} trials at the same time, \
{seconds / 60:.0f} min. In each trial all of this held: one cluster id and one leader per database,
one winner per term, every member in every member's list, one bootstrap member, a row written at
each member read at all, one history in all files, and no other files. "Whole after" is the time
from the last start until all members served both databases.

{table(columns, lines)}"""


if __name__ == "__main__":
    sys.exit(main())

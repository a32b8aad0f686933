"""Fuzzes one target: `python -m fuzz.run TARGET --minutes N`. Called by `make fuzz`.

Starts from the corpus in the tree, and keeps what it finds in build/fuzz-corpus. An input that
breaks a promise, or takes more than `SLOW` seconds of CPU time, is written to test-output/fuzz and
ends the run. Each run adds a line to test-output/fuzz/runs.jsonl, for RESULTS.md.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
OUTPUT = ROOT / "test-output/fuzz"
TARGETS = ("manifests", "json_stream", "rows", "certificates", "backups")
SLOW = 2.0
LONGEST = 1 << 14
"""Bytes of an input: enough for quadratic costs to show."""


class SlowInputError(Exception):
    """An input took too long."""


def main() -> None:
    """Fuzz until the time is up, or a promise is broken."""
    parser = argparse.ArgumentParser(prog="fuzz.run", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=30.0, help="of CPU time")
    arguments = parser.parse_args()
    found = ROOT / "build/fuzz-corpus" / arguments.target
    faults = OUTPUT / arguments.target
    for directory in (found, faults):
        directory.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["isthmus"]):
        target = importlib.import_module(f"fuzz.targets.{arguments.target}")
    words = found.with_suffix(".dict")
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in target.WORDS)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    options = [f"-max_len={LONGEST}", "-rss_limit_mb=1024", "-handle_term=0", f"-dict={words}"]
    options += [f"-artifact_prefix={faults}/", "-timeout=300", "-use_value_profile=1"]
    corpus = [str(found), str(CORPUS / arguments.target)]
    mutate = getattr(target, "mutate", None)
    custom = {"custom_mutator": partial(_mutate, mutate)} if mutate is not None else {}
    timed = _Timed(target.run, arguments.target, arguments.minutes * 60)
    signal.signal(signal.SIGTERM, lambda *_: timed.end())
    atheris.Setup([sys.argv[0], *options, *corpus], timed, **custom)
    atheris.Fuzz()


Mutator = Callable[[bytes, int, int], bytes]
"""Makes another input of an input, its greatest length, and the seed of random choices."""


def _mutate(mutate: Mutator, data: bytes, longest: int, seed: int) -> bytes:
    """Mostly what the target does to an input, sometimes what libFuzzer does to bytes."""
    changed: bytes = atheris.Mutate(data, longest) if seed % 4 == 0 else mutate(data, longest, seed)
    return changed


class _Timed:
    """Runs a target, and ends the process when its time is up."""

    def __init__(self, run: Callable[[bytes], None], name: str, seconds: float) -> None:
        self._run, self._name, self._seconds = run, name, seconds
        self._count, self._slowest = 0, 0.0

    def __call__(self, data: bytes) -> None:
        began = time.process_time()
        try:
            self._run(data)
            took = time.process_time() - began
            self._count += 1
            self._slowest = max(self._slowest, took)
            if took > SLOW:
                raise SlowInputError(f"{took:.1f} s of CPU time for {len(data)} bytes")
        except Exception as error:
            self._record(repr(error))
            raise
        if began > self._seconds:
            self.end()

    def end(self) -> None:
        """Record the run and end the process; libFuzzer counts any other end as a crash."""
        self._record("")
        os._exit(0)

    def _record(self, fault: str) -> None:
        line = {
            "target": self._name,
            "cpu_minutes": round(time.process_time() / 60, 1),
            "executions": self._count,
            "slowest_ms": round(self._slowest * 1000),
            "fault": fault[:200],
        }
        with (OUTPUT / "runs.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()

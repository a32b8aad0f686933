"""Plays many random faults: `python -m chaos.run --faults 1000 --members 3`.

Called by `make test-icdb-chaos`; needs root.
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from chaos.play import play
from support.ic_net import ic_net


def main() -> int:
    """Play the faults that the command line asks for; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="name each fault")
    parser.add_argument("--keep", type=Path, help="a directory to leave logs and histories in")
    arguments = parser.parse_args()
    print(
        f"{arguments.members} members, {arguments.faults} faults, seed {arguments.seed}", flush=True
    )
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.keep or Path(temporary)
        with ic_net(directory, arguments.members) as net:
            report = play(
                net, arguments.seed, arguments.faults, _say if arguments.verbose else _mute
            )
    print(report)
    return 1 if report.wrong else 0


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def _mute(_line: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())

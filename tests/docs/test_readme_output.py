"""The README shows the real output of the demo's clusters."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ISTHMUS = Path(sys.executable).with_name("isthmus")
# Named like the labs of tests/lab, so that a later run removes it if this one is killed.
LAB = f"t{os.getpid()}-9000"
LIMIT = 30.0

pytestmark = pytest.mark.lab


def isthmus(*args: str) -> str:
    command = [str(ISTHMUS), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[None]:
    """The demo's topology in a lab with its own name."""
    try:
        isthmus("lab", "up", "demo", "--name", LAB)
        yield
    finally:
        isthmus("lab", "down", "--name", LAB)


def alike(text: str) -> list[list[str]]:
    """The words of each line, with MACs and addresses masked."""
    text = re.sub(r"\b02(:[0-9a-f]{2}){5}\b", "MAC", text)
    text = re.sub(r"\b169\.254\.100\.[1-9]\d*\b", "ADDRESS", text)
    return [line.split() for line in text.splitlines() if line.split()]


@pytest.mark.parametrize("verb", ["show", "routes"])
def test_the_readme_matches_the_output(verb: str) -> None:
    """A verb's output in the README is that of the running clusters once they have converged."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pattern = rf"^# \S+ lab exec (\S+) -- isthmus {verb}\n(.*?)^```"
    [(node, shown)] = re.findall(pattern, readme, re.MULTILINE | re.DOTALL)
    deadline = time.monotonic() + LIMIT
    while (printed := isthmus("lab", "exec", "--name", LAB, node, "--", "isthmus", verb)) and (
        alike(printed) != alike(shown)
    ):
        assert time.monotonic() < deadline, printed
        time.sleep(0.1)

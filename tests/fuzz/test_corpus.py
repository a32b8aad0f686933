"""The corpus of the fuzzers, replayed without atheris: what was found once stays fixed."""

import importlib
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: str(path.relative_to(CORPUS)))
def test_an_input_breaks_no_promise(path: Path) -> None:
    """A target raises only for a broken promise."""
    importlib.import_module(f"fuzz.targets.{path.parent.name}").run(path.read_bytes())

"""The prose check: what it reports, and that the project is free of it."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "prose.py"


def test_the_project_follows_the_style_guide() -> None:
    """Nothing contains words that the word list rules out."""
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.md", "Wait for\nwhoever asks.", [(2, "whoever")]),
        ("a.md", "There\nis no\nTCP port, `whoever` knows, [it](anew.md).", []),
        ("a.md", "3 is\nno TCP port\n```\nanew\n```\n", [(1, "is no")]),
        ("a.py", '"""Say."""\n\nX = "is "  f"no port"\n# A\n# anew\n', [(3, "is no"), (5, "anew")]),
        ("a.py", 'anew = {"anew": 1, "is": "no"}\n', []),
        ("a.sh", "echo anew  # for ever\n", [(1, "anew"), (1, "for ever")]),
    ],
)  # fmt: skip
def test_what_is_found(name: str, text: str, found: list[tuple[int, str]], tmp_path: Path) -> None:
    """Phrases are found across line breaks and adjacent strings; code and keys are not prose."""
    spec = importlib.util.spec_from_file_location("prose", SCRIPT)
    assert spec
    assert spec.loader
    prose: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prose)
    prose.ROOT = tmp_path
    prose.settings.cache_clear()
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/prose.toml").write_text((ROOT / "scripts/prose.toml").read_text())
    (tmp_path / name).write_text(text)
    assert sorted((line, words) for line, words, _ in prose.findings(tmp_path / name)) == found

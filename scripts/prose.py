"""Report wording that docs/STYLE.md rules out, with the words to use instead.

usage: prose.py [PATH...]

Without arguments it checks the whole project, as `make check` does. It reads Markdown (outside
code), docstrings, string literals and comments of Python, and whole shell scripts, Makefiles and
YAML files. It prints file:line, the words found and what to write instead; the exit status is 1 if
it finds any.
"""

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = "\0"  # stands for code between words, so that no phrase reaches across it
EXEMPT = {
    "LICENSE",
    ".gitignore",
    "prose.toml",
    "STYLE.md",
    "test_prose.py",
}  # they quote the words
SHELL_LIKE = {".sh", ".yaml", ".yml", ".toml", ".service", ".env", ".cfg", ""}


@cache
def settings() -> dict[str, Any]:
    """The word list and the exceptions."""
    return tomllib.loads((ROOT / "scripts/prose.toml").read_text(encoding="utf-8"))


@cache
def rules() -> list[tuple[re.Pattern[str], str]]:
    """A pattern and its replacement for each entry of the word list."""
    return [
        (re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), instead)
        for pattern, instead in settings()["instead-of"].items()
    ]


def markdown(text: str) -> str:
    """The text without code blocks, code spans and link targets."""
    for pattern in (r"^```.*?^```", r"`[^`]*`", r"\]\([^)]*\)", r"<!--.*?-->"):
        text = re.sub(pattern, blank, text, flags=re.MULTILINE | re.DOTALL)
    return text


def blank(match: re.Match[str]) -> str:
    """A placeholder of the same length and the same line breaks."""
    return re.sub(r"[^\n]", CODE, match[0])


def python(text: str) -> str:
    """The comments and string literals that contain a space; strings without one are keys."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    prose = list(re.sub(r"\S", CODE, text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        begin, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        found = text[begin:end]
        if token.type == tokenize.COMMENT:
            prose[begin:end] = found.replace("#", " ")
        elif tokenize.tok_name[token.type] == "STRING" and " " in found:
            prose[begin:end] = re.sub(r"^\w+(?=[\"'])|[\"']", lambda m: " " * len(m[0]), found)
        elif tokenize.tok_name[token.type].startswith("FSTRING"):
            prose[begin:end] = found.replace('"', " ")
    return re.sub(r"`[^`\n]*`", blank, "".join(prose))


def prose_of(path: Path, text: str) -> str:
    """The prose in a file, with every other character replaced."""
    match path.suffix:
        case ".md":
            return markdown(text)
        case ".py":
            return python(text)
        case _:
            return re.sub(r"`[^`\n]*`", blank, text.replace("#", " "))


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, words found, and what to write instead."""
    prose = prose_of(path, path.read_text(encoding="utf-8"))
    # Phrases are found across line breaks: `offsets` leads back to the characters of the file.
    offsets = [m.start() for m in re.finditer(r"\S|\s(?!\s)", prose)]
    joined = "".join(" " if prose[at].isspace() else prose[at] for at in offsets)
    name = str(path.relative_to(ROOT))
    for pattern, instead in rules():
        for match in pattern.finditer(joined):
            if not allowed(name, match[0]):
                yield prose.count("\n", 0, offsets[match.start()]) + 1, match[0].strip(), instead


def allowed(name: str, words: str) -> bool:
    """Whether scripts/prose.toml excepts these words in this file."""
    return any(
        words.lower().strip() == one["words"] and name == one["file"]
        for one in settings().get("allow", [])
    )


def files(arguments: list[str]) -> Iterator[Path]:
    """The files of the repository below the given paths, without translations."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *arguments],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in sorted(filter(None, listed.split("\0"))):
        path = ROOT / name
        known = path.suffix in {".md", ".py"} | SHELL_LIKE
        skipped = ".zh-CN." in name or path.name in EXEMPT
        if known and not skipped and path.is_file():
            yield path


def main(arguments: list[str]) -> int:
    """Print what is found below the paths; 1 if there is anything."""
    count = 0
    for path in files([str(Path(one).resolve()) for one in arguments] or ["."]):
        for line, words, instead in sorted(findings(path)):
            print(f'{path.relative_to(ROOT)}:{line}: "{words}": {instead}')
            count += 1
    if count:
        print(f"{count} found; docs/STYLE.md says how we write", file=sys.stderr)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The documents agree with the code: links, names, commands, layers, walks."""

import importlib
import importlib.util
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus.cli.main import LazyVerb, app, load

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PACKAGES = [path.parent.name for path in ROOT.glob("src/isthmus/*/__init__.py")]

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code(text: str) -> Iterator[str]:
    """The lines of code blocks, and the code spans."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose))


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of each command line that runs a program."""
    for line in code(text):
        line = line.removeprefix("$ ").removeprefix("# ").removeprefix(".venv/bin/")  # noqa: PLW2901
        if line.startswith(f"{program} "):
            yield shlex.split(line.partition(" #")[0])[1:]


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link leads to an existing file and, with a fragment, to a heading in it."""
    broken: list[str] = []
    for target, fragment in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", read(document)):
        if "://" in target:
            continue
        path = document.parent / target if target else document
        if not path.exists() or (fragment and fragment not in anchors(path)):
            broken.append(f"{target}#{fragment}")
    assert broken == []


@every_document
def test_named_tests_exist(document: Path) -> None:
    """Every test that a document names exists in that file."""
    missing: list[str] = []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", read(document)):
        path = ROOT / file
        if not path.exists() or f"def {name}" not in read(path):
            missing.append(f"{file}::{name}")
    assert missing == []


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", read(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_pages_in_the_code_exist() -> None:
    """Every page under docs/ that a comment, docstring or script refers to exists."""
    for folder in ("src", "tests", "scripts", "bench", "deploy", "examples"):
        for path in ROOT.glob(f"{folder}/**/*"):
            if path.suffix in {".py", ".sh", ".yaml", ".toml"}:
                for page in re.findall(r"\bdocs/[\w./-]+\.md\b", read(path)):
                    assert (ROOT / page).exists(), f"{path}: {page}"


@every_document
def test_make_targets_exist(document: Path) -> None:
    """`make help` explains every `make TARGET VARIABLE=…` in the documents."""
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    words = {word for args in commands(read(document), "make") for word in args}
    assert {word for word in words if "=" not in word} <= targets
    variables = {word.partition("=")[0] for word in words if "=" in word}
    assert all(f"$({name})" in makefile or f"$(if $({name})" in makefile for name in variables)


@every_document
def test_commands_exist(document: Path) -> None:
    """Every verb and flag of `isthmus` in the documents exists."""
    for args in commands(read(document), "isthmus"):
        check_command(args)


def check_command(args: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    words = args.copy()
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        verb = words.pop(0)
        command = command.get_command(context, verb)
        assert command is not None, f"no verb {verb}: isthmus {' '.join(args)}"
        if isinstance(command, LazyVerb):
            command = load(command.verb)
    if "--" in words:
        words = words[: words.index("--")]
    flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help", "-h"}
    assert flags <= known, f"no such flag: isthmus {' '.join(args)}"


@every_document
def test_names_exist(document: Path) -> None:
    """Every module, function and file in the documents exists; NAME is a placeholder."""
    for name in code(read(document)):
        if "NAME" in name:
            continue
        match = re.fullmatch(r"(?:isthmus\.)?((\w+)\.\w+(?:\.\w+)*)", name)
        if match and match[2] in PACKAGES and not name.endswith((".py", ".md")):
            assert resolves(f"isthmus.{match[1]}"), name
        if re.fullmatch(r"(?:src|tests|scripts|examples|docs|requirements)/[\w./-]+", name):
            assert (ROOT / name).exists(), name
        if re.fullmatch(rf"(?:{'|'.join(PACKAGES)})/[\w/]+\.py", name):
            assert (ROOT / "src" / "isthmus" / name).exists(), name


def resolves(name: str) -> bool:
    """Whether a dotted name is a module or an attribute of a module."""
    try:
        importlib.import_module(name)
    except ImportError:
        module, _, attribute = name.rpartition(".")
        return "." in module and hasattr(importlib.import_module(module), attribute)
    return True


def layers_of(table: str) -> dict[str, list[str]]:
    """The layers in a table of ARCHITECTURE.md, by the text of the first column."""
    rows = read(ROOT / "ARCHITECTURE.md").partition(table)[2].partition("\n\n")[0].splitlines()[1:]
    cells = [re.split(r"(?<!\\)\|", row)[1:3] for row in rows]
    return {
        name.strip(): [" | ".join(re.findall(r"`([\w.]+)`", part)) for part in text.split(", ")]
        for name, text in cells
    }


def contracts() -> list[dict[str, Any]]:
    """The import-linter contracts about layers; the first is about all packages."""
    config = tomllib.loads(read(ROOT / "pyproject.toml"))
    found = config["tool"]["importlinter"]["contracts"]
    return [contract for contract in found if contract["type"] == "layers"]


def test_layers_match_the_contract() -> None:
    """ARCHITECTURE.md lists the layers of the first contract in the same order."""
    listed = [
        " | ".join(re.findall(r"`([\w.]+)`", cell))
        for cell in layers_of("| layer | what it is |\n")
    ]
    assert listed == contracts()[0]["layers"]


def test_layers_inside_packages_match_their_contracts() -> None:
    """ARCHITECTURE.md lists the layers inside packages as their contracts do."""
    expected: dict[str, list[str]] = {}
    for contract in contracts()[1:]:
        [package] = contract.get("containers") or {contract["layers"][0].partition(".")[0]}
        expected[f"`{package}`"] = [
            layer.replace(f"{package}.", "") for layer in contract["layers"]
        ]
    assert layers_of("| package | layers |\n") == expected


WALKS = (
    read(ROOT / "ARCHITECTURE.md").partition("## Walks through the code\n")[2].partition("\n## ")[0]
)


@pytest.mark.parametrize(
    "walk", WALKS.split("\n### ")[1:], ids=lambda walk: walk.partition("\n")[0]
)
def test_walks_enter_no_package_twice(walk: str) -> None:
    """The modules in a walk's numbered paths exist, and no path enters a package twice."""
    paths = re.split(r"^1\. ", walk, flags=re.MULTILINE)[1:]
    assert paths
    for path in paths:
        steps = re.match(r"(.*(?:\n(?:\d+\. | +).*)*)", path)
        assert steps
        names = re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", steps[1])
        assert [name for name in names if not importlib.util.find_spec(f"isthmus.{name}")] == []
        rooms = [room for room, _ in itertools.groupby(name.rpartition(".")[0] for name in names)]
        assert len(rooms) > 1
        assert sorted(set(rooms)) == sorted(rooms)


def test_decisions_are_listed() -> None:
    """The index lists all decisions with their titles, in order."""
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    titles = [read(page).splitlines()[0].partition(". ")[2] for page in pages]
    index = read(ROOT / "docs" / "decisions" / "README.md")
    listed = re.findall(r"^\d+\. \[(.*)\]\((.*)\)$", index, re.MULTILINE)
    assert listed == [(title, page.name) for title, page in zip(titles, pages, strict=True)]


def test_libraries_are_explained() -> None:
    """Decision 2 lists exactly the run-time dependencies, including the lab's."""
    config = tomllib.loads(read(ROOT / "pyproject.toml"))
    project = config["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["lab"]
    declared = {re.split(r"[<>=]", text)[0] for text in texts}
    page = read(ROOT / "docs" / "decisions" / "0002-libraries.md")
    assert set(re.findall(r"^\| (\w+) \|", page, re.MULTILINE)) - {"library"} == declared


def test_both_readmes_match() -> None:
    """The Chinese README has the sections, commands and diagrams of the English one."""
    english, chinese = (ROOT / name for name in ("README.md", "README.zh-CN.md"))

    def skeleton(text: str) -> tuple[int, list[str]]:
        blocks = re.findall(r"^```\w*\n.*?^```", text, re.MULTILINE | re.DOTALL)
        shown = [block for block in blocks if not block.startswith("```mermaid")]
        return len(re.findall(r"^#+ ", text, re.MULTILINE)), shown

    assert skeleton(read(english)) == skeleton(read(chinese))

"""The how-to pages: their commands exist. All translated pages match the English ones."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from isthmus.cli.kubectl import SERVERS
from isthmus.cli.kubectl import app as plugin
from isthmus.cli.main import LazyVerb, app, known_verbs, load

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGES = sorted(HOW_TO.glob("*.md"))
TRANSLATED = sorted((ROOT / "docs").glob("*/*.zh-CN.md"))

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each code block."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def typed(page: Path) -> Iterator[list[str]]:
    """The words of each command, in code blocks and code spans."""
    for language, text in blocks(page):
        if not language:
            yield from map(shlex.split, text.splitlines())
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(r"`(kubectl [^`]+)`", prose):
        yield shlex.split(found)


@every_page
def test_plugin_commands_exist(page: Path) -> None:
    """Every `kubectl isthmus` uses flags of the plugin, then an existing verb and its flags."""
    own = {flag for one in typer.main.get_command(plugin).params for flag in one.opts}
    for words in typed(page):
        if words[:2] != ["kubectl", "isthmus"]:
            continue
        rest = words[2:]
        if not rest:
            continue  # the plugin itself
        while rest[0].startswith("-"):
            assert rest[0] in own
            rest = rest[2:]
        assert rest[0] in set(known_verbs()) - SERVERS
        check_verb(rest)


def check_verb(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        command = command.get_command(context, words[0])
        assert command is not None, words[0]
        if isinstance(command, LazyVerb):
            command = load(command.verb)
        words = words[1:]
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


@every_page
def test_paths_exist(page: Path) -> None:
    """Kustomizations and files of deploy/ in the pages exist."""
    for path in re.findall(r"\bdeploy/[\w./-]+", page.read_text(encoding="utf-8")):
        assert (ROOT / path.rstrip(".")).exists(), path
    for words in typed(page):
        if "-k" in words:
            assert (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").exists()


@every_page
def test_manifests_are_yaml(page: Path) -> None:
    """Each manifest parses, and a ConfigMap's values are strings."""
    for language, text in blocks(page):
        if language == "yaml":
            manifest = yaml.safe_load(text)
            assert all(isinstance(value, str) for value in manifest.get("data", {}).values())


@pytest.mark.parametrize("other", TRANSLATED, ids=lambda page: page.name)
def test_both_languages_match(other: Path) -> None:
    """The Chinese page has the sections, code blocks, table rows and lists of the English one."""
    page = other.with_name(other.name.replace(".zh-CN.md", ".md"))
    assert blocks(page) == blocks(other)
    for pattern in (r"^#+ ", r"^\|", r"^- "):
        counts = [
            len(re.findall(pattern, one.read_text(encoding="utf-8"), re.MULTILINE))
            for one in (page, other)
        ]
        assert counts[0] == counts[1], pattern


def test_every_how_to_page_is_translated() -> None:
    """Each how-to page exists in Chinese."""
    english = {page.name for page in PAGES if not page.name.endswith(".zh-CN.md")}
    chinese = {page.name for page in PAGES} - english
    assert {name.replace(".md", ".zh-CN.md") for name in english} == chinese


def test_the_index_has_every_page() -> None:
    """docs/README.md and its translation link to every page below docs/."""
    pages = [
        page
        for page in ROOT.glob("docs/*/*.md")
        if page.parent.name != "decisions" and not page.name.endswith(".zh-CN.md")
    ]
    for index in ("README.md", "README.zh-CN.md"):
        text = (ROOT / "docs" / index).read_text(encoding="utf-8").replace(".zh-CN.md", ".md")
        missing = [page.name for page in pages if f"{page.parent.name}/{page.name}" not in text]
        assert missing == []


def test_both_migration_pages_list_the_same_row_changes() -> None:
    """A test on real databases follows the English table; the Chinese one names the same rows."""
    english, chinese = (
        re.findall(r"^\| ([A-Z-]+ \| `\w+` \| \S+) \|", (HOW_TO / name).read_text(), re.MULTILINE)
        for name in ("migrate-from-kube-ovn.md", "migrate-from-kube-ovn.zh-CN.md")
    )
    assert english == chinese != []

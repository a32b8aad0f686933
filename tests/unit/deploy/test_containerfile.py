"""The text of deploy/container/Containerfile."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

from support.containerfile import BASE_IMAGE, CONTAINERFILE, stages

ROOT = Path(__file__).parents[3]


def pinned() -> set[str]:
    lines = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    return {normal(line.partition("==")[0]) for line in lines if "==" in line}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str, found: set[str]) -> set[str]:
    """The direct and indirect dependencies of a package."""
    for text in requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            dependency = normal(requirement.name)
            if dependency not in found:
                found.add(dependency)
                needed(dependency, found)
    return found


def test_everything_in_the_image_is_pinned() -> None:
    """The requirements pin every package that is installed in the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = set()
    for text in project["dependencies"]:
        name = normal(Requirement(text).name)
        found |= {name} | needed(name, set())
    assert found == pinned()


def test_every_package_has_hashes() -> None:
    """An index that serves another file than the tested one is refused, wherever pip installs."""
    for file in (ROOT / "requirements").glob("*.txt"):
        lines = file.read_text().replace("\\\n", "").splitlines()
        entries = [line for line in lines if line and not line.startswith("#")]
        assert entries
        assert [
            entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry
        ] == []
    for name in ("scripts/setup.sh", "scripts/lock.sh", "scripts/sbom.sh", CONTAINERFILE):
        text = (ROOT / name).read_text().replace("\\\n", "")
        uses = [line for line in text.splitlines() if "--requirement" in line]
        assert uses
        assert [line for line in uses if "--require-hashes" not in line] == []


def test_both_environments_have_the_same_versions() -> None:
    """What the container runs is what the tests have run."""
    tested = set(
        re.findall(r"^\S+==\S+", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    )
    text = (ROOT / "requirements/runtime.txt").read_text()
    assert set(re.findall(r"^\S+==\S+", text, re.MULTILINE)) - tested == set()


def test_the_image_is_lean() -> None:
    """The last stage installs Python and copies the environment, without build tools."""
    build, image = stages(CONTAINERFILE.read_text())
    assert {build.image, image.image} == {BASE_IMAGE}
    installed = [one.text for one in image.instructions if one.word == "RUN"]
    assert len(installed) == 1
    assert "pip" not in installed[0]
    assert [one.text for one in image.instructions if one.word == "COPY"] == [
        f"--from={build.name} /opt/isthmus /opt/isthmus"
    ]


def test_packages_leave_no_lists_behind() -> None:
    """Each use of apt-get updates, installs without recommendations, and removes its lists."""
    for stage in stages(CONTAINERFILE.read_text()):
        for one in stage.instructions:
            if "apt-get install" in one.text:
                assert one.text.startswith("apt-get update && ")
                assert "--yes --no-install-recommends" in one.text
                assert one.text.endswith("rm -rf /var/lib/apt/lists/*")


def test_it_runs_without_root() -> None:
    """The user is a number other than 0, for runAsNonRoot."""
    [user] = [
        one.text for one in stages(CONTAINERFILE.read_text())[-1].instructions if one.word == "USER"
    ]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_what_is_copied_is_not_ignored() -> None:
    """Every file that is copied is in the build context."""
    given = (CONTAINERFILE.parent / "Containerfile.dockerignore").read_text().splitlines()
    for one in stages(CONTAINERFILE.read_text())[0].instructions:
        if one.word == "COPY":
            for name in one.text.split()[:-1]:
                assert f"!{name}" in given
                assert (ROOT / name).exists()

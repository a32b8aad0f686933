"""The text of deploy/systemd and of the container of the IC databases."""

import re
import shlex
from configparser import ConfigParser
from pathlib import Path

import typer.main

from isthmus.cli.ic_db.run import app
from isthmus.icdb.server.kube_ovn_env import TS_KEYS

DEPLOY = Path(__file__).parents[3] / "deploy"
UNIT = DEPLOY / "systemd" / "isthmus-ic-db.service"
SCRIPT = DEPLOY / "container" / "start-ic-db.sh"
CONTAINERFILE = DEPLOY / "container" / "Containerfile.ic-db"


def run_parameters() -> tuple[set[str], set[str]]:
    """The flags of `isthmus ic-db run`, and the variables that it reads."""
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    flags = {flag for parameter in run.params for flag in parameter.opts}
    variables = {p.envvar for p in run.params if p.envvar and not p.hidden}
    return flags, {*variables, *TS_KEYS, "ENABLE_SSL"}


def test_the_unit_starts_what_there_is() -> None:
    """The unit uses existing flags, is ready when the databases are, and stops in order."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/isthmus")
    assert words[:2] == ["ic-db", "run"]
    flags, _ = run_parameters()
    assert {word for word in words if word.startswith("--")} <= flags
    assert service["Type"] == "notify"
    assert service["TimeoutStartSec"] == "infinity"
    assert service["KillMode"] == "mixed"
    assert service["RuntimeDirectoryPreserve"] == "yes"


def test_every_variable_of_the_environment_file_is_read() -> None:
    """The environment file lists exactly the variables that the program reads."""
    text = (UNIT.parent / "ic-db.env").read_text()
    named = set(re.findall(r"^#([A-Z_]+)=", text, re.MULTILINE))
    _, variables = run_parameters()
    assert named == variables | {"FLAGS"}


def test_the_entry_point_gives_flags_that_exist() -> None:
    """The script of the container uses existing flags."""
    flags, _ = run_parameters()
    code = re.sub(r"^\s*#.*$", "", SCRIPT.read_text(), flags=re.MULTILINE)
    given = set(re.findall(r"--[a-z-]+(?= )", code)) - {"--quiet"}
    assert given
    assert given <= flags


def test_the_image_has_the_script_where_the_command_line_looks() -> None:
    """`bash start-ic-db.sh` runs in the working directory, without an entry point before it."""
    text = CONTAINERFILE.read_text()
    assert "ENTRYPOINT []" in text
    directory = text.index("WORKDIR")
    assert text.index("COPY deploy/container/start-ic-db.sh ./") > directory
    given = CONTAINERFILE.with_name("Containerfile.ic-db.dockerignore").read_text().splitlines()
    assert "!deploy/container/start-ic-db.sh" in given

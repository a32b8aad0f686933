"""Read topology files into complete, consistent `Topology` values.

Used by the command line and by tests. A `Topology` returned from here has every default filled in
and has passed all checks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from isthmus.model.problems import Problem, Subject
from isthmus_lab.errors import LabError, lab_error
from isthmus_lab.topology.check import check
from isthmus_lab.topology.defaults import complete
from isthmus_lab.topology.schema import Addition, Topology

BUILT_IN = Path(__file__).with_name("topologies")
"""The built-in topologies, which need no path."""

_REMEDIES = {
    "missing": "add the key",
    "extra_forbidden": "remove the key or correct its spelling",
    "string_pattern_mismatch": "use only lower-case letters, digits and hyphens",
}
"""Remedies by pydantic's type of the error. The messages of the other types contain the remedy."""


def find(name_or_path: str) -> Path:
    """The file of a topology.

    Args:
        name_or_path: a file, or the name of a built-in topology.

    Raises:
        LabError: neither exists.
    """
    built_in = BUILT_IN / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if "/" not in name_or_path and built_in.is_file():
        return built_in
    known = ", ".join(sorted(file.stem for file in BUILT_IN.glob("*.yaml")))
    raise lab_error(
        f"topology {name_or_path}",
        "no such file or built-in topology",
        f"give the path of a topology file or a built-in name: {known}",
    )


def read(path: Path) -> Any:
    """The contents of a YAML file.

    Raises:
        LabError: the file cannot be read or parsed; the message has the line number.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise lab_error(
            f"topology {path}", f"cannot be read: {error}", "check the path and its permissions"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise lab_error(
            f"topology {path}", f"is not valid YAML: {reason}", "fix the file at that line"
        ) from error


def parse(data: Any, source: str) -> Topology:
    """A topology from the contents of a file.

    Args:
        data: the parsed YAML.
        source: the file's name, for messages.

    Raises:
        LabError: all problems found, each with the path of its key.
    """
    topology = complete(_validate(Topology, data, source))
    if problems := list(check(topology, source)):
        raise LabError(*problems)
    return topology


def load(path: Path, *, name: str = "") -> Topology:
    """Read and check a topology file.

    Args:
        path: the file.
        name: overrides the name in the file unless empty.

    Raises:
        LabError: all problems found.
    """
    data = read(path)
    if name and isinstance(data, dict):
        data = {**data, "name": name}
    return parse(data, str(path))


def extend(topology: Topology, path: Path) -> Topology:
    """The topology with the clusters of another file appended. Raises: LabError."""
    addition = _validate(Addition, read(path), str(path))
    merged = topology.model_copy(update={"clusters": topology.clusters + addition.clusters})
    return parse(merged.model_dump(by_alias=True, mode="json"), str(path))


def dump(topology: Topology) -> str:
    """The topology as YAML text that `load` accepts."""
    values = topology.model_dump(by_alias=True, mode="json", exclude_none=True)
    return yaml.safe_dump(values, sort_keys=False)


def _validate(model: type[Any], data: Any, source: str) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults: list[dict[str, Any]] = [dict(one) for one in error.errors()]
        locations = [one["loc"] for one in faults]
        # pydantic drops bad elements of a list and may then also report the list as too short.
        own = [f for f in faults if not any(_contains(f["loc"], other) for other in locations)]
        raise LabError(*(_problem(one, source) for one in own)) from error


def _contains(outer: Sequence[int | str], inner: Sequence[int | str]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _problem(error: dict[str, Any], source: str) -> Problem:
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    value = "" if isinstance(error["input"], dict | list | None) else str(error["input"])
    return Subject(f"topology {source}", key, value).problem(
        error["msg"].removeprefix("Value error, ").rstrip("."),
        _REMEDIES.get(error["type"], "correct the value; see examples/topologies for the format"),
    )

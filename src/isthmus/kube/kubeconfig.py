"""Kubeconfig files: merged, and reduced to the cluster and the user of one context.

Used by `isthmus.kube.credentials`. The rules are those of kubectl (Kubernetes, "Organizing Cluster
Access Using kubeconfig Files"): of several files the first that names an entry counts, and
relative paths are relative to the file that holds them.
"""

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.controller.config.strict_yaml import YamlTextError, load_yaml
from isthmus.files import read_file
from isthmus.model.bounds import CREDENTIALS_FILE
from isthmus.model.text import quoted


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of a kubeconfig: a cluster, a user or a context.

    Args:
        values: as in the file.
        folder: what relative paths are relative to.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    def text(self, key: str) -> str:
        """A value; empty if it is missing or not text."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def path(self, key: str) -> Path | None:
        """The file that `key` names, None if it is missing."""
        return self.folder / self.text(key) if self.text(key) else None

    def content(self, key: str) -> bytes:
        """What `KEY-data` holds or, without it, the file that `KEY` names; empty without either.

        Raises:
            OSError: the file cannot be read.
            ValueError: the data is not valid base64.
        """
        if data := self.text(f"{key}-data"):
            return base64.b64decode(data, validate=True)
        path = self.path(key)
        return read_file(path, CREDENTIALS_FILE) if path is not None else b""


def existing_files(paths: str) -> list[Path]:
    """The files of a list such as the value of KUBECONFIG, those that exist.

    Raises:
        ValueError: none exists.
    """
    # Unlike Path.expanduser, this raises no error for a user without a home directory.
    expanded = (os.path.expanduser(name) for name in paths.split(os.pathsep) if name)  # noqa: PTH111
    files = [Path(name) for name in expanded]
    found = [file for file in files if file.is_file()]
    if not found:
        raise ValueError(f"there is no file {paths}")
    return found


def select(files: Iterable[Path], context: str) -> tuple[Section, Section]:
    """The cluster and the user of a context.

    Args:
        files: kubeconfigs, the first ones first in rank.
        context: its name; empty for the current context.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not a kubeconfig, or an entry is missing.
    """
    found: dict[tuple[str, str], Section] = {}
    for file in files:
        config = _load(file)
        context = context or config.text("current-context")
        for kind in ("cluster", "user", "context"):
            for entry in config.values.get(f"{kind}s") or ():
                if not isinstance(entry, dict) or not isinstance(entry.get(kind) or {}, dict):
                    raise ValueError(f"{kind}s in {file} must be a list of named mappings")
                section = Section(entry.get(kind) or {}, file.parent)
                found.setdefault((kind, str(entry.get("name"))), section)
    if not context:
        raise ValueError("current-context is missing")
    chosen = _entry(found, "context", context)
    user = chosen.text("user")
    return (
        _entry(found, "cluster", chosen.text("cluster")),
        _entry(found, "user", user) if user else Section(),
    )


def _load(file: Path) -> Section:
    try:
        config = load_yaml(read_file(file, CREDENTIALS_FILE))
    except YamlTextError as error:
        place = f" in {error.where}" if error.where else ""
        raise ValueError(f"{file} is not valid YAML{place}: {error.reason}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} is empty" if config is None else f"{file} is not a kubeconfig")
    return Section(config, file.parent)


def _entry(found: Mapping[tuple[str, str], Section], kind: str, name: str) -> Section:
    if (kind, name) not in found:
        raise ValueError(f"there is no {kind} {quoted(name)}")
    return found[kind, name]

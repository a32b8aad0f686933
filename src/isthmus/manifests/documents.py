"""From the text of one file to manifests and problems. Called by the directory source.

Kinds that Isthmus does not read are none of its business and ignored, but what looks like a
misspelling of one that it does read is reported: otherwise a typing error would look like the
deletion of the object.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from isthmus.controller.config.strict_yaml import StrictLoader, yaml_error
from isthmus.controller.inputs.snapshot import API_VERSIONS, Manifest, ObjectKey
from isthmus.model.problems import Problem, Subject

NAMESPACED = frozenset({"ConfigMap"})
CLOSE = 0.85
"""Similarity (0 to 1) from which a word counts as a misspelling of another."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What one file holds.

    Args:
        manifests: the readable objects of the kinds that matter, the first of duplicates.
        problems: what is wrong with the others.
    """

    manifests: Mapping[ObjectKey, Manifest]
    problems: tuple[Problem, ...]


def read_documents(file: str, content: bytes) -> Documents:
    """Read all documents of a file.

    Args:
        file: its name, for problems and as the manifests' origin.
        content: YAML (or JSON, which is a part of it), several documents allowed.
    """
    problems: list[Problem] = []
    manifests: dict[ObjectKey, Manifest] = {}
    try:
        documents = yaml.load_all(content.decode(), StrictLoader)
        bodies = list(_flatten(documents))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return Documents({}, (_unparsable(file, error),))
    for body in bodies:
        found = _identify(file, body)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None and found in manifests:
            problems.append(duplicate(found, file, file))
        elif found is not None:
            manifests[found] = Manifest(found, body, file)
    return Documents(manifests, tuple(problems))


def duplicate(key: ObjectKey, first: str, second: str) -> Problem:
    """The problem of an object that is given twice; the first file's counts."""
    where = f"both {first} and {second}" if first != second else f"{first} twice"
    return Subject(str(key)).problem(
        f"is given in {where}", f"remove one; until then the first in {first} counts"
    )


def _unparsable(file: str, error: Exception) -> Problem:
    where, reason = yaml_error(error)
    return Subject(f"file {file}", where).problem(
        f"is no valid YAML: {reason}", "correct it; until then what it held before stays in force"
    )


def _flatten(documents: Iterable[Any]) -> Iterator[Any]:
    """The documents, with lists (`kind: List`, `kind: SubnetList`) replaced by their items."""
    for body in documents:
        if body is None:
            continue
        kind = body.get("kind") if isinstance(body, dict) else None
        items = body.get("items") if isinstance(body, dict) else None
        if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
            item_kind = kind.removesuffix("List")
            known = item_kind in API_VERSIONS
            defaults = {"apiVersion": body.get("apiVersion"), "kind": item_kind} if known else {}
            yield from _flatten(
                {**defaults, **item} if isinstance(item, dict) else item for item in items
            )
        else:
            yield body


def _identify(file: str, body: Any) -> ObjectKey | Problem | None:
    """A document's identity; a problem if it seems meant for us but is not right; else None."""
    if not isinstance(body, dict):
        return Subject(f"file {file}", value=str(body)[:40]).problem(
            "holds a document that is no Kubernetes object",
            "write apiVersion, kind and metadata, or move the file elsewhere",
        )
    version, kind = body.get("apiVersion"), body.get("kind")
    if version is None and kind is None:
        return None
    if not (isinstance(version, str) and isinstance(kind, str)):
        key, value = ("kind", kind) if isinstance(version, str) else ("apiVersion", version)
        return Subject(f"file {file}", key, "" if value is None else str(value)[:40]).problem(
            "must be a string" if value is not None else "is missing",
            f"give each document its {key}",
        )
    wrong = _misspelling(version, kind)
    if wrong is not None:
        key, value, wanted = wrong
        return Subject(f"file {file}", key, value).problem(
            "is not known, and looks misspelt", f"write {wanted}"
        )
    if API_VERSIONS.get(kind) != version:
        return None
    return _object_key(file, kind, body.get("metadata"))


def _misspelling(version: str, kind: str) -> tuple[str, str, str] | None:
    """The field, its value and what was probably meant; None if nothing looks misspelt."""
    group = version.rpartition("/")[0]
    if kind in API_VERSIONS:
        wanted = API_VERSIONS[kind]
        wanted_group = wanted.rpartition("/")[0]
        # Other vendors have kinds of the same names (e.g. a cloud's Subnet) in other groups.
        ours = group == wanted_group or bool(get_close_matches(version, [wanted], 1, CLOSE))
        builtin = not wanted_group and "." not in group
        if version != wanted and (ours or builtin):
            return "apiVersion", version, wanted
        return None
    peers = {k.lower(): k for k, v in API_VERSIONS.items() if v.rpartition("/")[0] == group}
    close = get_close_matches(kind.lower(), list(peers), 1, CLOSE)
    return ("kind", kind, peers[close[0]]) if close else None


def _object_key(file: str, kind: str, metadata: Any) -> ObjectKey | Problem:
    fields = metadata if isinstance(metadata, dict) else {}
    name, namespace = fields.get("name"), fields.get("namespace") or "default"
    if isinstance(name, str) and name and isinstance(namespace, str):
        return ObjectKey(kind, namespace if kind in NAMESPACED else "", name)
    key = "metadata.namespace" if isinstance(name, str) and name else "metadata.name"
    value = fields.get(key.removeprefix("metadata."))
    return Subject(f"{kind} in file {file}", key, "" if value is None else str(value)[:40]).problem(
        "is missing" if value is None else "must be a string that is not empty",
        f"give the {kind} its {key}, in quotes if it looks like a number",
    )

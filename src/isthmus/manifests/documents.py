"""From the content of one file to manifests and problems. Called by `file_history`.

Kinds that Isthmus does not read are ignored, except for a kind that it reads with another case,
plural or version: such a mistake must not look like the deletion of the object.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.controller.config.strict_yaml import YamlTextError, load_documents
from isthmus.controller.config.suggestions import shortened
from isthmus.controller.inputs.snapshot import API_VERSIONS, Manifest, ObjectKey
from isthmus.model.problems import Problem, Subject

NAMESPACED = frozenset({"ConfigMap"})

_KINDS = {kind.lower(): kind for kind in API_VERSIONS}


@dataclass(frozen=True, slots=True)
class FileContent:
    """What one file holds.

    Args:
        manifests: the valid objects of the kinds that are read, the first of duplicates.
        problems: those of all other documents.
        empty: whether the file has no documents at all.
    """

    manifests: Mapping[ObjectKey, Manifest]
    problems: tuple[Problem, ...]
    empty: bool = False


def read_documents(file: str, content: bytes) -> FileContent:
    """Read all documents of a file.

    Args:
        file: its name, for problems and as the manifests' origin.
        content: YAML (or JSON, which is a subset of it), any number of documents.
    """
    problems: list[Problem] = []
    manifests: dict[ObjectKey, Manifest] = {}
    try:
        bodies = list(_flatten(load_documents(content)))
    except YamlTextError as error:
        problem = Subject(f"file {file}", error.where).problem(
            f"is not valid YAML: {error.reason}",
            "correct it; until then the objects that it held stay in force",
        )
        return FileContent({}, (problem,))
    for body in bodies:
        found = _identify(file, body)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None and found in manifests:
            problems.append(duplicate(found, file, file))
        elif found is not None:
            manifests[found] = Manifest(found, body, file)
    return FileContent(manifests, tuple(problems), not bodies)


def duplicate(key: ObjectKey, first: str, second: str) -> Problem:
    """The problem of an object that is given twice; the first one is used."""
    where = f"both {first} and {second}" if first != second else f"{first} twice"
    return Subject(str(key)).problem(
        f"is given in {where}", f"remove one; until then the first one in {first} is used"
    )


def _flatten(documents: Iterable[Any]) -> Iterator[Any]:
    """The documents, with lists (`kind: List`, `kind: SubnetList`) replaced by their items."""
    for body in documents:
        kind, items = (body.get("kind"), body.get("items")) if isinstance(body, dict) else ("", 0)
        if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
            item_kind = kind.removesuffix("List")
            known = item_kind in API_VERSIONS
            defaults = {"apiVersion": body.get("apiVersion"), "kind": item_kind} if known else {}
            yield from _flatten(
                {**defaults, **item} if isinstance(item, dict) else item for item in items
            )
        elif body is not None:
            yield body


def _identify(file: str, body: Any) -> ObjectKey | Problem | None:
    """The identity of a document; a problem if it is invalid; None if it is not for Isthmus."""
    if not isinstance(body, dict):
        return Subject(f"file {file}", value=shortened(body)).problem(
            "contains a document that is not a Kubernetes object",
            "write apiVersion, kind and metadata, or move the file elsewhere",
        )
    if body.get("apiVersion") is None and body.get("kind") is None:
        return None
    for key in ("apiVersion", "kind"):
        if not isinstance(body.get(key), str):
            return _bad_text(f"file {file}", key, body.get(key), "each document")
    version, kind = body["apiVersion"], body["kind"]
    meant = _KINDS.get(kind.lower().removesuffix("s"))
    # Other vendors have kinds of the same names in their own groups (e.g. a cloud's Subnet).
    if meant is None or _group(version) not in {_group(API_VERSIONS[meant]), ""}:
        return None
    if (version, kind) != (API_VERSIONS[meant], meant):
        return Subject(f"file {file}", "kind", shortened(f"{version} {kind}")).problem(
            "does not exist", f"write apiVersion: {API_VERSIONS[meant]} and kind: {meant}"
        )
    return _object_key(file, kind, body.get("metadata"))


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _object_key(file: str, kind: str, metadata: Any) -> ObjectKey | Problem:
    fields = metadata if isinstance(metadata, dict) else {}
    name, namespace = fields.get("name"), fields.get("namespace") or "default"
    if not (isinstance(name, str) and name):
        return _bad_text(f"{kind} in file {file}", "metadata.name", name, f"the {kind}")
    if not isinstance(namespace, str):
        return _bad_text(f"{kind} in file {file}", "metadata.namespace", namespace, f"the {kind}")
    return ObjectKey(kind, namespace if kind in NAMESPACED else "", name)


def _bad_text(where: str, key: str, value: Any, owner: str) -> Problem:
    return Subject(where, key, "" if value is None else shortened(value)).problem(
        "is missing" if value is None else "must be a string that is not empty",
        f"give {owner} its {key}, in quotes if it looks like a number",
    )

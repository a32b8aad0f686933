"""The objects of one kind: as written, and in their last valid form."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from isthmus.controller.inputs.snapshot import Manifest
from isthmus.model.problems import Problem

N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class ReadObject(Generic[N]):
    """An object as written, and its last valid form in `item` (None if there is none)."""

    manifest: Manifest
    item: N | None
    invalid: bool


Objects: TypeAlias = dict[str, ReadObject[N]]
"""Objects of one kind by name."""


def read_objects(
    manifests: Iterable[Manifest],
    before: Objects[N],
    parse: Callable[[Manifest, N | None], tuple[N | None, tuple[Problem, ...]]],
    problems: list[Problem],
) -> Objects[N]:
    """All objects of one kind; one that is not valid keeps its last valid form.

    A valid object is not parsed again while its manifest is the same value.
    """
    found: Objects[N] = {}
    for manifest in manifests:
        known = before.get(manifest.key.name)
        if known is not None and known.manifest is manifest and not known.invalid:
            found[manifest.key.name] = known
            continue
        item, wrong = parse(manifest, known.item if known is not None else None)
        problems += wrong
        found[manifest.key.name] = ReadObject(manifest, item, bool(wrong))
    return found


def changed_names(before: Mapping[str, N], after: Mapping[str, N]) -> frozenset[str]:
    """The names of the objects that were added, removed or changed."""
    return frozenset(
        name
        for name in before.keys() | after.keys()
        # Most are the same object, and identity is cheaper to check than equality.
        if (old := before.get(name)) is not (new := after.get(name)) and old != new
    )


def valid(objects: Objects[N]) -> Mapping[str, N]:
    """The last valid forms, of the objects that have one."""
    return {name: found.item for name, found in objects.items() if found.item is not None}

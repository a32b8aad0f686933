"""Changes of JSON that keep its form, for targets where random bytes would only be invalid JSON."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

Place = tuple[Any, Any]
"""A list or object, and an index or key in it."""

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1 << 63, 1 << 200, 1.5, "", [], {}, ["set", []], ["map", []],
    ["uuid", "x"], [[]], "\x1b[2J", "\ud800", "\u202e", "\x00", "x" * 300,
)  # fmt: skip


def mutate_json(data: bytes, longest: int, seed: int, words: Sequence[str]) -> bytes:
    """Another document, with one to four differences.

    Args:
        data: the document; another one takes its place if it is not valid.
        longest: bytes that the result may have.
        seed: decides about the differences.
        words: strings that may appear.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        root = [{}]
    for _ in range(chance.randint(1, 4)):
        _change(root, chance, words)
    made = json.dumps(root[0], separators=(",", ":")).encode()
    return made if len(made) <= longest else data[:longest]


def _change(root: list[Any], chance: random.Random, words: Sequence[str]) -> None:
    places = list(_places(root))
    parent, key = chance.choice(places)
    value = parent[key]
    other_parent, other_key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        parent[key] = _copy(chance.choice(_ODD))
    elif kind == 1:
        parent[key] = chance.choice(words)
    elif kind == 2:
        parent[key] = _copy(other_parent[other_key])
    elif kind == 3 and isinstance(value, str):
        cut = chance.randint(0, len(value))
        parent[key] = value[:cut] + chance.choice([*words, "", "\x1b", "."]) + value[cut + 1 :]
    elif kind == 4 and parent is not root:
        del parent[key]
    elif isinstance(value, dict):
        value[chance.choice([*value, *words])] = _copy(other_parent[other_key])
    elif isinstance(value, list):
        value.insert(chance.randint(0, len(value)), _copy(other_parent[other_key]))


def _places(value: Any) -> Iterator[Place]:
    items = enumerate(value) if isinstance(value, list) else value.items()
    for key, element in items:
        yield value, key
        if isinstance(element, (list, dict)):
            yield from _places(element)


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))

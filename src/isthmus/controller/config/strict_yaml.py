"""YAML as Kubernetes reads it: a mapping must not give a key twice.

Used for manifests (`isthmus.manifests`) and for values of the configuration that are YAML.
"""

from collections.abc import Hashable
from typing import Any

import yaml


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, which also refuses a key that is given twice (as Kubernetes does)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, or raise `ConstructorError` for a key given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def place_and_reason(error: Exception) -> tuple[str, str]:
    """Where reading failed ("line 3", or nothing if it is not known), and why."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}" if mark is not None else ""
    return where, getattr(error, "problem", None) or str(error) or type(error).__name__

"""YAML as Kubernetes reads it: duplicate keys in a mapping are errors.

Used for manifests (`isthmus.manifests`) and for the values of the ConfigMap that are YAML.
"""

from collections.abc import Hashable
from typing import Any

import yaml

from isthmus.model.text import failure_text, quoted


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, which also rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, or raise `ConstructorError` for a duplicate key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"duplicate key {quoted(str(key.value))}", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def yaml_error(error: Exception) -> tuple[str, str]:
    """Where parsing failed ("line 3"; empty if not known), and why."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}" if mark is not None else ""
    return where, getattr(error, "problem", None) or failure_text(error)

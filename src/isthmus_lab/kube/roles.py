"""The ServiceAccount and the roles that Isthmus is shipped with, for API servers of the lab.

Used by the lab and by tests, so that what they show holds with these rights and not only for an
administrator. Stands in for kustomize, which puts everything into one namespace.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = "isthmus"
"""The ServiceAccount's name."""

DIRECTORY = Path(__file__).parents[3] / "deploy/kubernetes/base"
"""Where they are in a checkout; a wheel does not have them."""

_FILES = ("service-account.yaml", "role.yaml", "cluster-role.yaml")
_NAMESPACED = {"ServiceAccount", "Role", "RoleBinding"}


def roles(namespace: str) -> Iterator[dict[str, Any]]:
    """The objects, in the order in which they can be created.

    Args:
        namespace: of the ServiceAccount and of `ovn-ic-config`.
    """
    for file in _FILES:
        for manifest in yaml.safe_load_all((DIRECTORY / file).read_text(encoding="utf-8")):
            if manifest["kind"] in _NAMESPACED:
                manifest["metadata"]["namespace"] = namespace
            for subject in manifest.get("subjects", ()):
                subject["namespace"] = namespace
            yield manifest

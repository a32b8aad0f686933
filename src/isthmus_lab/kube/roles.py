"""The ServiceAccount and roles of Isthmus's deployment, for API servers of the lab.

Used by the lab and by tests, so that Isthmus runs there with the rights it has in production. Sets
namespaces as kustomize would.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = "isthmus"
"""The name of the ServiceAccount."""

DIRECTORY = Path(__file__).parents[3] / "deploy/kubernetes/base"
"""Their directory in a checkout of the source; a wheel does not contain it."""

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

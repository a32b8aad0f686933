"""Find the programs of an API server: etcd, kube-apiserver, kubectl.

Used by the lab and by tests. `make kube-assets` installs missing programs into the cache, which has
a directory per version of Kubernetes.
"""

import os
import re
import shutil
from pathlib import Path

from isthmus_lab.errors import LabError, lab_error

SERVER = ("etcd", "kube-apiserver")
"""The programs that run an API server."""

KUBECTL = "kubectl"
"""The client for users."""


def program(name: str) -> str:
    """The path of a program; "" if it is not installed.

    Searches KUBEBUILDER_ASSETS (which Kubernetes' own test tools use), PATH, and the cache with the
    newest version first.
    """
    named = os.environ.get("KUBEBUILDER_ASSETS")
    found = sorted(_cache(), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    cached = [str(directory) for directory in reversed(found)]
    places = [*([named] if named else []), os.environ.get("PATH", os.defpath), *cached]
    return shutil.which(name, path=os.pathsep.join(places)) or ""


def missing() -> list[str]:
    """The programs of an API server that are not installed."""
    return [name for name in SERVER if not program(name)]


def required(name: str) -> str:
    """The path of a program. Raises: LabError, if it is not installed."""
    if found := program(name):
        return found
    raise missing_error([name])


def missing_error(names: list[str]) -> LabError:
    """The error for missing programs."""
    return lab_error(
        "the Kubernetes API server",
        "not found in KUBEBUILDER_ASSETS, on PATH or in the cache",
        "run `make kube-assets`, which builds them (requires Go)",
        key="programs",
        value=", ".join(names),
    )


def _cache() -> list[Path]:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return list((base / "isthmus" / "kube").glob("v*"))

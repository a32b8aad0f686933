"""Where the programs of an API server are: etcd, kube-apiserver, kubectl.

Used by the lab and by tests. `make kube-assets` puts what is missing into the cache, a directory
per version of Kubernetes.
"""

import os
import re
import shutil
from pathlib import Path

from isthmus_lab.errors import LabError, lab_error

SERVER = ("etcd", "kube-apiserver")
"""What an API server takes."""

KUBECTL = "kubectl"
"""What people look at it with."""


def program(name: str) -> str:
    """The path of a program; empty if it is nowhere.

    Looked for in KUBEBUILDER_ASSETS (the directory that Kubernetes' own test tools use), on PATH,
    and in the cache, the newest version first.
    """
    named = os.environ.get("KUBEBUILDER_ASSETS")
    cached = [str(directory) for directory in sorted(_cache(), key=_version, reverse=True)]
    places = [*([named] if named else []), os.environ.get("PATH", os.defpath), *cached]
    return shutil.which(name, path=os.pathsep.join(places)) or ""


def missing() -> list[str]:
    """The programs of an API server that are not on this machine."""
    return [name for name in SERVER if not program(name)]


def required(name: str) -> str:
    """The path of a program. Raises: LabError, if it is nowhere."""
    return program(name) or _raise(missing_error([name]))


def missing_error(names: list[str]) -> LabError:
    """What to say where programs are missing."""
    return lab_error(
        "the Kubernetes API server",
        "not in KUBEBUILDER_ASSETS, on PATH or in the cache",
        "run `make kube-assets`, which builds it once (it needs Go)",
        key="programs",
        value=", ".join(names),
    )


def _raise(error: LabError) -> str:
    raise error


def _cache() -> list[Path]:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return list((base / "isthmus" / "kube").glob("v*"))


def _version(directory: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", directory.name))

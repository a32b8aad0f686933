"""The search for the programs of an API server."""

from pathlib import Path

import pytest

from isthmus_lab.errors import LabError
from isthmus_lab.kube import assets


def put(directory: Path, *names: str) -> Path:
    """Create programs in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch(mode=0o755)
    return directory


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of them."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_nothing_is_there() -> None:
    """Missing programs are reported with the command that installs them."""
    assert assets.missing() == ["etcd", "kube-apiserver"]
    with pytest.raises(LabError, match="make kube-assets"):
        assets.required("etcd")


def test_order_of_places(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS comes before PATH, and PATH before the cache."""
    cached = put(places / "cache/isthmus/kube/v1.35.4", "etcd", "kube-apiserver")
    assert assets.program("etcd") == str(cached / "etcd")
    assert assets.missing() == []
    on_path = put(places / "bin", "etcd")
    assert assets.program("etcd") == str(on_path / "etcd")
    named = put(places / "named", "etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(named))
    assert assets.program("etcd") == str(named / "etcd")
    assert assets.program("kube-apiserver") == str(cached / "kube-apiserver")


def test_newest_version_in_the_cache(places: Path) -> None:
    """The newest of several versions is used, compared as numbers."""
    for version in ("v1.9.11", "v1.35.4", "v1.35.10"):
        put(places / "cache/isthmus/kube" / version, "kube-apiserver")
    assert "/v1.35.10/" in assets.program("kube-apiserver")

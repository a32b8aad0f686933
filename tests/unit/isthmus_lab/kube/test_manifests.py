"""Manifest files in place of an API server."""

from pathlib import Path

from isthmus_lab.kube.manifests import Manifests


def subnet(disabled: bool) -> dict[str, object]:
    """A Subnet object."""
    return {
        "apiVersion": "kubeovn.io/v1",
        "kind": "Subnet",
        "metadata": {"name": "apps"},
        "spec": {"cidrBlock": "10.26.0.0/16", "disableInterConnection": disabled},
    }


def test_apply_then_get_gives_the_object(tmp_path: Path) -> None:
    """An applied object is read back unchanged, from a single file."""
    manifests = Manifests(tmp_path)
    manifests.apply(subnet(disabled=False))
    assert manifests.get("Subnet", "apps") == subnet(disabled=False)
    assert [path.name for path in tmp_path.iterdir()] == ["subnet-apps.yaml"]


def test_merge_changes_and_removes_keys(tmp_path: Path) -> None:
    """Merging sets the given keys, removes those that are None, and keeps the others."""
    manifests = Manifests(tmp_path)
    manifests.apply(subnet(disabled=False))
    manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": True})
    assert manifests.get("Subnet", "apps") == subnet(disabled=True)
    manifests.merge("Subnet", "apps", "spec", {"disableInterConnection": None})
    assert manifests.get("Subnet", "apps")["spec"] == {"cidrBlock": "10.26.0.0/16"}


def test_delete_is_idempotent(tmp_path: Path) -> None:
    """Deleting an object twice is not an error."""
    manifests = Manifests(tmp_path)
    manifests.apply(subnet(disabled=False))
    manifests.delete("Subnet", "apps")
    manifests.delete("Subnet", "apps")
    assert list(tmp_path.iterdir()) == []

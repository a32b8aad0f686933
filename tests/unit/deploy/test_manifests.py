"""The text of deploy/kubernetes: complete, and consistent with the program."""

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.cli import health, main
from isthmus.cli.options import environment as surroundings
from isthmus.model.rows import Database

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(DEPLOY.glob("**/kustomization.yaml"))


def load(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def container(file: str) -> dict[str, Any]:
    [deployment] = load(DEPLOY / file)
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def named(kustomization: dict[str, Any]) -> Iterator[str]:
    """The files and directories that a kustomization names."""
    yield from kustomization.get("resources", ())
    yield from kustomization.get("components", ())
    yield from (patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch)


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=lambda file: str(file.parent.name))
def test_every_file_is_used(file: Path) -> None:
    """Every file that a kustomization names exists, and it names all manifests in its directory."""
    [kustomization] = load(file)
    names = set(named(kustomization))
    assert all((file.parent / name).exists() for name in names)
    beside = {path.name for path in file.parent.glob("*.yaml")} - {file.name}
    assert beside == {name for name in names if name.endswith(".yaml")}


def test_arguments_and_programs_exist() -> None:
    """The container runs a verb with existing flags, and probes that the package installs."""
    found = container("base/deployment.yaml")
    verb, *flags = found["args"]
    known = main.load(main.known_verbs()[verb])
    assert set(flags) <= {flag for parameter in known.params for flag in parameter.opts}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        program, question = found[probe]["exec"]["command"]
        module, _, function = scripts[program].partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert question in health.COMMANDS


def test_variables_are_read() -> None:
    """Every variable that is set is read by the program or by OVN."""
    known = {"OVN_NB_DB", "OVN_SB_DB", "OVN_RUNDIR"} | {
        value for name, value in vars(surroundings).items() if name.isupper()
    }
    for file in ("base/deployment.yaml", "components/tls/deployment.yaml"):
        assert {variable["name"] for variable in container(file)["env"]} <= known


def test_mounts_hold_what_variables_name() -> None:
    """Files that variables name are in mounted volumes; the root is read-only."""
    for file in ("base/deployment.yaml", "components/tls/deployment.yaml"):
        found = container(file)
        mounts = [mount["mountPath"] for mount in found["volumeMounts"]]
        paths = [one["value"] for one in found["env"] if one["value"].startswith("/")]
        assert paths
        assert all(any(path.startswith(mount) for mount in mounts) for path in paths)


def test_the_network_policy_lets_through_what_is_asked_for() -> None:
    """Kube-OVN's ports of NB and SB, the default ports of IC-NB and IC-SB, and the API server."""
    [policy] = load(DEPLOY / "base" / "network-policy.yaml")
    ports = {entry["port"] for rule in policy["spec"]["egress"] for entry in rule["ports"]}
    assert ports >= {443, 6443, 6641, 6642, 6645, 6646}
    assert len(Database) == 4
    assert policy["spec"].get("ingress") is None


def test_the_image_has_the_version_of_the_package() -> None:
    """The tag in the kustomization is the version in pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    [base] = load(DEPLOY / "base" / "kustomization.yaml")
    assert [image["newTag"] for image in base["images"]] == [version]

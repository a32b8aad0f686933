"""Hostile configuration: every value ends as a named problem, soon, and never ends the process."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from isthmus.controller.config.configmap import InvalidConfig, JoinZone, parse_config
from isthmus.controller.config.strict_yaml import YamlTextError, load_yaml
from isthmus.controller.inputs.inputs import DEFAULT_VPC
from isthmus.kube.kubeconfig import select
from isthmus.kube.publish.status_configmap import published_conditions
from isthmus.manifests.documents import read_documents
from isthmus.model.bounds import CONFIG_ENTRIES, CONFIG_KEYS, CONFIG_NAME, CONFIG_VALUES
from support.fakes.manifests import config_map
from support.hostile.configuration import HOSTILE_YAML, LONG_VALUES


def problems(**changes: str | None) -> list[str]:
    """What is reported of a ConfigMap that is refused."""
    written = config_map(**changes)
    result = parse_config(str(written.key), written.body.get("data"), DEFAULT_VPC)
    assert isinstance(result, InvalidConfig), result
    return [str(problem) for problem in result.problems if not problem.key.endswith("auto-route")]


@pytest.mark.parametrize("key", ["accept", "advertise", "routes"])
@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_hostile_yaml_in_a_key_is_one_short_problem(key: str, text: str) -> None:
    """A value that YAML's parser or Python cannot bear is refused by name."""
    found = problems(**{key: text})
    assert found, text[:20]
    assert all(f"data.{key}" in problem for problem in found)
    assert all(len(problem) < 1000 for problem in found)


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_hostile_yaml_in_a_manifest_is_a_problem_of_the_file(text: str) -> None:
    """The same text as a file, and as a value in an object."""
    for content in (text, f"kind: {text}\napiVersion: v1\n"):
        found = read_documents("f.yaml", content.encode("utf-8", "surrogatepass"))
        assert not found.manifests
        assert found.problems
        assert all(len(str(problem)) < 1000 for problem in found.problems)


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_hostile_yaml_elsewhere(text: str, tmp_path: Path) -> None:
    """A kubeconfig is refused with an error, and a status that was published is read as nothing."""
    file = tmp_path / "kubeconfig"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match="kubeconfig"):
        select([file], "")
    assert published_conditions({"conditions": text}) == ()


def test_aliases_are_allowed_within_the_bound() -> None:
    """Kubernetes accepts anchors and merge keys, and so does Isthmus."""
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a\n")["b"] == {"x": 1, "y": 2}


def test_depth_within_the_bound() -> None:
    """A hundred levels are read, one more is not."""
    load_yaml("[" * 100 + "]" * 100)
    with pytest.raises(YamlTextError, match="at most 100"):
        load_yaml("[" * 101 + "]" * 101)


def test_values_within_the_bound() -> None:
    """As many values as are allowed are read, one more is not, with aliases or without."""
    number = CONFIG_VALUES.most
    load_yaml("[" + "1," * (number - 1) + "]", CONFIG_VALUES)
    for text in ("[" + "1," * number + "]", "- &a []\n" + "- *a\n" * number):
        with pytest.raises(YamlTextError, match=f"at most {number} are allowed"):
            load_yaml(text, CONFIG_VALUES)


@pytest.mark.parametrize("changes", LONG_VALUES.values(), ids=LONG_VALUES)
def test_long_values_are_refused_soon_and_shortly(changes: Mapping[str, str]) -> None:
    """Parsing costs what the length explains, and messages stay readable."""
    began = time.process_time()
    found = problems(**changes)
    assert time.process_time() - began < 10
    assert found
    assert all(len(problem) < 1000 for problem in found)


def test_many_entries_within_the_bound_are_linear() -> None:
    """As many entries as are allowed are read within seconds; each of these took minutes."""
    number = range(CONFIG_ENTRIES.most)
    written = config_map(
        vpcs=",".join(f"v{n}=n{n}" for n in number),
        routes="".join(f"- {{prefix: 10.{n >> 8}.{n & 255}.0/24, zone: z}}\n" for n in number),
        gw_nodes=",".join(f"n{n % 90}" for n in number),
    )
    began = time.process_time()
    result = parse_config(str(written.key), written.body["data"], DEFAULT_VPC)
    assert time.process_time() - began < 20
    assert isinstance(result, JoinZone)
    assert len(result.config.routes) == len(result.config.vpcs) == CONFIG_ENTRIES.most


def test_a_config_map_with_very_many_keys() -> None:
    """Keys beyond the bound are one problem, and are not compared with the known ones."""
    found = problems(**{f"enable-id{n}": "x" for n in range(CONFIG_KEYS.most)})
    assert len(found) == 1
    assert "more than the limit" in found[0]


def test_the_longest_name() -> None:
    """A name of the stated length is accepted, whatever it consists of; a longer one is not."""
    for name in ("ä" * CONFIG_NAME.most, "A_b.c-d/e"):
        written = config_map(az_name=name)
        result = parse_config(str(written.key), written.body["data"], DEFAULT_VPC)
        assert isinstance(result, JoinZone)
    assert "longer than 253 characters" in problems(az_name="a" * 254)[0]
    assert problems(az_name="a\x1bb")

"""The configuration reference: its example is valid, and it lists all keys."""

import re
from pathlib import Path

import yaml

from isthmus.controller.config.configmap import KEYS, JoinZone, parse_config
from isthmus.controller.inputs.inputs import DEFAULT_VPC

PAGE = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()


def test_the_example_is_valid() -> None:
    """It contains every key and causes no problem."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    body = yaml.safe_load(block)
    parsed = parse_config("ConfigMap", body["data"], DEFAULT_VPC)
    assert isinstance(parsed, JoinZone), parsed
    assert parsed.problems == ()
    assert body["data"].keys() == set(KEYS)
    assert parsed.config.vpcs == {"shop": "blue", "lab": "green"}
    assert parsed.config.rules.of_zone("az4").prefixes == ()
    assert parsed.config.routes[2].vpc == "shop"


def test_all_keys_are_described() -> None:
    """Each key has a row in a table."""
    described = {key for row in re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE)
                 for key in re.findall(r"`([^`]+)`", row)}  # fmt: skip
    assert set(KEYS) <= described

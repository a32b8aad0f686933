"""The configuration accepts the examples on the page about overlaps and rules."""

import re
from pathlib import Path

import yaml

from isthmus.controller.config.configmap import JoinZone, parse_config
from support.fakes.manifests import config_map

PAGE = Path(__file__).parents[2] / "docs/explanation/overlaps-and-rules.md"


def test_the_examples_are_valid() -> None:
    """All keys of all examples are valid in one ConfigMap."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    data = {key: text for block in blocks for key, text in yaml.safe_load(block).items()}
    assert data.keys() == {"accept", "advertise", "routes"}
    parsed = parse_config("ConfigMap", config_map(**data).body["data"], "ovn-cluster")
    assert isinstance(parsed, JoinZone)
    assert parsed.problems == ()
    assert parsed.config.rules.of_zone("az2").most == 20
    assert parsed.config.rules.of_zone("az9").prefixes == ()
    assert parsed.config.routes[1].transit_switch == "ts1"

"""The data of the status ConfigMap, for users and programs: written, and read back.

`isthmus.kube.publish.status_publisher` calls it. Values of ConfigMaps are strings: short ones are
plain, so that `kubectl wait --for=jsonpath=…` can read them, the others are YAML. Invariant: the
keys are always the same, so that no value of an earlier report stays behind.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from isthmus.controller.config.strict_yaml import YamlTextError, load_yaml
from isthmus.controller.status.conditions import Condition, ConditionStatus, ConditionType
from isthmus.controller.status.report import StatusReport, sections
from isthmus.model.bounds import CONFIG_VALUES

PLAIN_WIDTH = 2**30
"""Characters per line of YAML: lines are never folded, so that messages can be searched for."""


def status_name(config_name: str) -> str:
    """The status ConfigMap's name: `ovn-ic-status` for `ovn-ic-config`."""
    return f"{config_name.removesuffix('-config')}-status"


def status_data(report: StatusReport, conditions: tuple[Condition, ...], by: str) -> dict[str, str]:
    """The data of the status ConfigMap.

    Args:
        report: its content.
        conditions: the report's, with the times of their last transitions.
        by: who says it, e.g. "isthmus 0.1.0 on isthmus-5d8f-x2x".
    """
    values = sections(replace(report, conditions=conditions))
    return {
        **{str(one.type).lower(): str(one.status) for one in conditions},
        "zone": report.cluster.zone,
        "publishedBy": by,
        **{name: _yaml(value) for name, value in values.items()},
    }


def published_conditions(data: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions in the data of a status ConfigMap, without entries that cannot be read."""
    try:
        found = load_yaml(str(data.get("conditions", "")), CONFIG_VALUES)
    except YamlTextError:
        return ()
    conditions = []
    for value in found if isinstance(found, list) else ():
        condition = _condition(value) if isinstance(value, dict) else None
        if condition is not None:
            conditions.append(condition)
    return tuple(conditions)


def _condition(value: Mapping[Any, Any]) -> Condition | None:
    text = {str(key): str(item) for key, item in value.items()}
    try:
        return Condition(
            ConditionType(text.get("type", "")),
            ConditionStatus(text.get("status", "")),
            text.get("reason", ""),
            text.get("message", ""),
            text.get("remedy", ""),
            text.get("lastTransitionTime", ""),
            text.get("observedResourceVersion", ""),
        )
    except ValueError:
        return None


class _Dumper(yaml.SafeDumper):
    """Writes enumerations as the strings that they are."""


_Dumper.add_multi_representer(str, _Dumper.represent_str)


def _yaml(value: Any) -> str:
    dumped: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=PLAIN_WIDTH
    )
    return dumped

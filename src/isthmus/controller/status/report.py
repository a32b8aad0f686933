"""The status report: the conditions, the problems and the state of the cluster, as plain values.

`isthmus.daemon.status_source` makes it. `isthmus status` and the status ConfigMap show it, with the
same names in both.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.controller.status.cluster_state import ClusterState
from isthmus.controller.status.conditions import Condition
from isthmus.model.problems import Problem, Subject

MOST_PROBLEMS = 200
"""The maximum number of listed problems: a ConfigMap can hold 1 MiB."""


@dataclass(frozen=True, slots=True)
class ConfigMapVersion:
    """The version of the ConfigMap in force.

    Args:
        key: its identity.
        resource_version, uid: from its metadata; empty if missing there.
        digest: SHA-256 of its data (JSON with sorted keys), in hexadecimal; empty if there is no
            ConfigMap.
    """

    key: ObjectKey
    resource_version: str = ""
    uid: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Everything that is reported.

    Args:
        active: whether this daemon is the active one of its zone, which writes.
        config_map: the ConfigMap in force.
        conditions: the conditions.
        cluster: the state of the cluster.
        problems: all problems, sorted.
        repairs: the number of rows that others deleted and that were made again, and the last ones.
    """

    active: bool
    config_map: ConfigMapVersion
    conditions: tuple[Condition, ...]
    cluster: ClusterState
    problems: tuple[Problem, ...]
    repairs: tuple[int, str] = (0, "")


def config_map_version(key: ObjectKey, manifest: Manifest | None) -> ConfigMapVersion:
    """The version of the ConfigMap in force.

    Args:
        key: its identity.
        manifest: the ConfigMap in force; None if there is none.
    """
    if manifest is None:
        return ConfigMapVersion(key)
    metadata = manifest.body.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    text = json.dumps(manifest.body.get("data"), sort_keys=True, default=str)
    return ConfigMapVersion(
        key,
        str(known.get("resourceVersion") or ""),
        str(known.get("uid") or ""),
        sha256(text.encode()).hexdigest(),
    )


def sections(report: StatusReport) -> dict[str, Any]:
    """The report as plain values, one entry for each section, the most important first."""
    cluster, observed = report.cluster, report.config_map
    return {
        "conditions": [condition_value(condition) for condition in report.conditions],
        "problems": _problem_values(report.problems),
        "transitSwitches": [asdict(switch) for switch in cluster.transit_switches],
        "gateways": [asdict(node, dict_factory=_plain) for node in cluster.gateways],
        "zones": [asdict(zone, dict_factory=_plain) for zone in cluster.zones],
        "routes": {
            "advertised": cluster.advertised,
            "onOffer": cluster.on_offer,
            "learned": cluster.learned,
        },
        "observed": {"resourceVersion": observed.resource_version, "sha256": observed.digest},
    }


def condition_value(condition: Condition) -> dict[str, str]:
    """A condition with the field names of `metav1.Condition`, and the remedy."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "remedy": condition.remedy,
        "lastTransitionTime": condition.since,
        "observedResourceVersion": condition.observed,
    }


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Attributes with names in camel case, and lists in place of tuples."""
    plain = ((name, list(v) if isinstance(v, tuple) else v) for name, v in items)
    return {name[0] + name.title().replace("_", "")[1:]: value for name, value in plain}


def _problem_values(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    shown = list(problems[:MOST_PROBLEMS])
    if more := len(problems) - len(shown):
        shown.append(Subject("").problem(f"{more} more", "read the daemon's log"))
    return [{"reason": problem.reason, **asdict(problem)} for problem in shown]

"""What this cluster reports of itself: the conditions with all that lies behind them.

Made by `isthmus.daemon.status_source`; shown by `isthmus status` and in the status ConfigMap, with
the same names in both.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.controller.status.cluster_state import Facts
from isthmus.controller.status.conditions import Condition
from isthmus.model.problems import Problem, Subject

MOST_PROBLEMS = 200
"""Most problems that are listed: a ConfigMap holds 1 MiB."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The ConfigMap in force.

    Args:
        key: its identity.
        resource_version, uid: as its metadata have them; empty if there is none.
        digest: SHA-256 of its data (keys sorted, as JSON), in hexadecimal; empty if there is none.
    """

    key: ObjectKey
    resource_version: str = ""
    uid: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that is reported.

    Args:
        active: whether this daemon, of those of the zone, is the one that writes.
        observed: the ConfigMap in force.
        conditions: as assessed.
        facts: what is.
        problems: all of them, in order.
    """

    active: bool
    observed: Observed
    conditions: tuple[Condition, ...]
    facts: Facts
    problems: tuple[Problem, ...]


def observed(key: ObjectKey, manifest: Manifest | None) -> Observed:
    """What is to be said of the ConfigMap in force.

    Args:
        key: of the ConfigMap to obey.
        manifest: the one that was taken over; None if there is none.
    """
    if manifest is None:
        return Observed(key)
    metadata = manifest.body.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    text = json.dumps(manifest.body.get("data"), sort_keys=True, default=str)
    return Observed(
        key,
        str(known.get("resourceVersion") or ""),
        str(known.get("uid") or ""),
        sha256(text.encode()).hexdigest(),
    )


def sections(report: Report) -> dict[str, Any]:
    """The report as plain values, one entry per section, what matters most first."""
    facts = report.facts
    return {
        "conditions": [condition_value(condition) for condition in report.conditions],
        "problems": _problem_values(report.problems),
        "transitSwitches": [
            {
                "name": switch.name,
                "subnet": switch.subnet,
                "port": switch.port,
                "address": switch.address,
                "gateway": switch.gateway,
            }
            for switch in facts.transit_switches
        ],
        "gateways": [
            {"node": node.node, "chassis": node.chassis, "activeOn": list(node.active_on)}
            for node in facts.gateways
        ],
        "zones": [
            {
                "name": zone.name,
                "gateways": list(zone.gateways),
                "transitSwitches": list(zone.transit_switches),
                "routes": zone.routes,
            }
            for zone in facts.zones
        ],
        "routes": {
            "advertised": facts.advertised,
            "onOffer": facts.on_offer,
            "learned": facts.learned,
        },
        "observed": {
            "resourceVersion": report.observed.resource_version,
            "sha256": report.observed.digest,
        },
    }


def condition_value(condition: Condition) -> dict[str, str]:
    """A condition with the field names of `metav1.Condition`."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "remedy": condition.remedy,
        "lastTransitionTime": condition.since,
        "observedResourceVersion": condition.observed,
    }


def _problem_values(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    found = [_problem_value(problem) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        more = Subject("").problem(f"{len(problems) - MOST_PROBLEMS} more", "see the daemon's log")
        found.append(_problem_value(more))
    return found


def _problem_value(problem: Problem) -> dict[str, str]:
    return {
        "reason": problem.reason,
        "object": problem.object,
        "key": problem.key,
        "value": problem.value,
        "message": problem.message,
        "remedy": problem.remedy,
    }

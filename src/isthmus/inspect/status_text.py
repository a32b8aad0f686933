"""The status of this cluster's interconnection as plain text. Pure.

Called by `isthmus status` and by the control command `isthmus/conditions`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.model.text import printable_lines

GOOD = {"Accepted": "True", "Joined": "True", "Conflict": "False", "Degraded": "False"}
"""The status of each condition when nothing is wrong."""


def status_text(report: Mapping[str, Any]) -> str:
    """Whether this cluster has joined, then only the conditions that need attention.

    Args:
        report: the reply to the control command `isthmus/conditions json`.
    """
    return printable_lines(_lines(report))


def joined(report: Mapping[str, Any]) -> bool:
    """Whether this cluster has joined, according to the report."""
    return any(one["type"] == "Joined" and one["status"] == "True" for one in report["conditions"])


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    conditions = {one["type"]: one for one in report["conditions"]}
    first = conditions.pop("Joined")
    yield from _condition(first)
    if first["status"] == "True":
        routes = report["routes"]
        yield (
            f"  routes: {routes['advertised']} advertised, {routes['learned']} learned,"
            f" {routes['onOffer']} offered by other zones"
        )
    if not report["active"]:
        yield "  this daemon is on standby: another daemon of this cluster is active"
    for kind, condition in conditions.items():
        if condition["status"] != GOOD.get(kind):
            yield from _condition(condition)


def _condition(condition: Mapping[str, str]) -> Iterator[str]:
    name = condition["type"].lower()
    word = {"True": name, "False": f"not {name}", "Unknown": f"unknown whether {name}"}
    since = condition["lastTransitionTime"]
    yield f"{word[condition['status']]} ({condition['reason']}) since {since}"
    yield f"  {condition['message']}"
    if condition["remedy"]:
        yield f"  remedy: {condition['remedy']}"

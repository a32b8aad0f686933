"""The report on this cluster's part in the interconnection as plain text, alike over the control
socket and on the command line. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

GOOD = {"Accepted": "True", "Joined": "True", "Conflict": "False", "Degraded": "False"}
"""The status of each condition that needs nobody's attention."""


def status_text(said: Mapping[str, Any]) -> str:
    """The report: whether this cluster is joined, then only what needs attention.

    Args:
        said: what the control command `isthmus/conditions json` answers.
    """
    return "\n".join(_lines(said))


def joined(said: Mapping[str, Any]) -> bool:
    """Whether the report says that this cluster is joined."""
    return any(one["type"] == "Joined" and one["status"] == "True" for one in said["conditions"])


def _lines(said: Mapping[str, Any]) -> Iterator[str]:
    conditions = {one["type"]: one for one in said["conditions"]}
    first = conditions["Joined"]
    word = {"True": "joined", "False": "not joined", "Unknown": "not known whether joined"}
    yield f"{word[first['status']]} ({first['reason']}) since {first['lastTransitionTime']}"
    yield from _why(first)
    if first["status"] == "True":
        routes = said["routes"]
        yield (
            f"  routes: {routes['advertised']} advertised, {routes['learned']} learned,"
            f" {routes['onOffer']} on offer"
        )
    if not said["active"]:
        yield "  this daemon stands by: another one of the zone does the work"
    for kind, condition in conditions.items():
        if kind != "Joined" and condition["status"] != GOOD.get(kind):
            yield from _attention(condition)


def _attention(condition: Mapping[str, str]) -> Iterator[str]:
    name = condition["type"].lower()
    word = {"True": name, "False": f"not {name}", "Unknown": f"not known whether {name}"}
    since = condition["lastTransitionTime"]
    yield f"{word[condition['status']]} ({condition['reason']}) since {since}"
    yield from _why(condition)


def _why(condition: Mapping[str, str]) -> Iterator[str]:
    yield f"  {condition['message']}"
    if condition["remedy"]:
        yield f"  remedy: {condition['remedy']}"

"""Conditions: what is to be said of this cluster's part in the interconnection, in four answers.

`isthmus.daemon.status_source` assesses them whenever something has happened, for `isthmus status`
and for the status ConfigMap. They have the form of Kubernetes' conditions (`metav1.Condition`),
except that `observed` takes the place of the generation, which ConfigMaps have none of.

- Accepted: the configuration is valid, and in force.
- Joined: this cluster is registered, its ports are served, and routes flow.
- Conflict: prefixes overlap with those of another zone, and are not exchanged.
- Degraded: something else that people must mend.

Invariant: what is not known yet is Unknown, never False.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from isthmus.controller.config.configmap import Config, Join, Leave
from isthmus.controller.status.cluster_state import Facts, SwitchFacts
from isthmus.model.problems import Problem
from isthmus.model.reasons import ConditionReason, Reason
from isthmus.model.rows import Database

AnyReason: TypeAlias = Reason | ConditionReason

CONFLICTS = frozenset({Reason.OVERLAPPING_PREFIX, Reason.AMBIGUOUS_PREFIX})
"""Reasons of problems that are conflicts of prefixes."""

REFUSALS = CONFLICTS | {Reason.REFUSED_BY_POLICY}
"""Reasons of problems that explain why routes on offer are not learned."""

_ORDER = {reason: position for position, reason in enumerate(Reason)}

_KEEPS_PORTS_AWAY = tuple(Reason)[_ORDER[Reason.NO_ROUTER] : _ORDER[Reason.WRITE_REFUSED] + 1]
"""The reasons that most likely keep ports from being made or served."""

LONGEST = 1024
"""Characters of the longest message with its remedy: what an Event's note may have."""

SHOWN = 5
"""Most conflicts, and most zones, that a message names."""


class Status(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Type(StrEnum):
    """What a condition is about."""

    ACCEPTED = "Accepted"
    JOINED = ConditionReason.JOINED
    CONFLICT = "Conflict"
    DEGRADED = "Degraded"


GOOD: Mapping[Type, Status] = {
    Type.ACCEPTED: Status.TRUE,
    Type.JOINED: Status.TRUE,
    Type.CONFLICT: Status.FALSE,
    Type.DEGRADED: Status.FALSE,
}
"""The status of each that needs nobody's attention."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Args:
        type: what it is about.
        status: whether it holds.
        reason: why, for programs: a `Reason` or `ConditionReason`, or what another release wrote.
        message: why, for people; at most `LONGEST` characters.
        remedy: what to do about it; empty if there is nothing to do.
        since: when `status` became what it is: UTC, as RFC 3339 has it; empty if not known yet.
        observed: the ConfigMap in force when it was assessed (its resourceVersion); empty if
            there is none, or it has no version, as a file.
    """

    type: Type
    status: Status
    reason: str
    message: str
    remedy: str = ""
    since: str = ""
    observed: str = ""

    @property
    def good(self) -> bool:
        """Whether it needs nobody's attention."""
        return self.status is GOOD[self.type]

    @property
    def text(self) -> str:
        """Message and remedy in one."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class State:
    """What conditions are assessed from.

    Args:
        wanted: what the operator asks for; None if that is not known yet.
        refused: whether the ConfigMap is not valid, and an earlier one, or none, is in force.
        observed: the resourceVersion of the ConfigMap in force.
        synced: the databases that have been seen in full.
        settled: whether there has been nothing left to do, and no change, for some seconds.
        facts: what is.
        problems: all that people must mend.
    """

    wanted: Join | Leave | None
    refused: bool
    observed: str
    synced: Collection[Database]
    settled: bool
    facts: Facts
    problems: tuple[Problem, ...]

    def problem(self, *reasons: Reason) -> Problem | None:
        """The first problem of one of these kinds."""
        return next((p for reason in reasons for p in self.problems if p.reason == reason), None)


def assess(state: State) -> tuple[Condition, ...]:
    """The conditions of this moment, in a fixed order; `since` is left empty."""
    found = (_accepted(state), _joined(state), _conflict(state), _degraded(state))
    return tuple(replace(_cut(condition), observed=state.observed) for condition in found)


def carry(
    before: Iterable[Condition], now: Iterable[Condition], moment: str
) -> tuple[Condition, ...]:
    """The conditions with `since`: that of before unless the status has changed.

    Args:
        before: as last published.
        now: as assessed.
        moment: the time of `now`, as RFC 3339 has it.
    """
    known = {condition.type: condition for condition in before}
    return tuple(replace(one, since=_since(known.get(one.type), one, moment)) for one in now)


def changes(before: Iterable[Condition], now: Iterable[Condition]) -> list[Condition]:
    """Those of `now` that say something else than before: another status, or another reason."""
    known = {one.type: (one.status, one.reason) for one in before}
    return [one for one in now if known.get(one.type) != (one.status, one.reason)]


def _since(before: Condition | None, now: Condition, moment: str) -> str:
    same = before is not None and before.status is now.status and before.since
    return before.since if before is not None and same else moment


def _accepted(state: State) -> Condition:
    if state.refused:
        wrong = _of_config(state)
        message = "the configuration is not valid, so " + (
            "nothing is done" if state.wanted is None else "what was in force before stays so"
        )
        if wrong is not None:
            message += f": {_said(wrong)}"
        return _condition(Type.ACCEPTED, Status.FALSE, Reason.INVALID_VALUE, message, wrong)
    if state.wanted is None:
        message = "the configuration has not been read yet"
        return _condition(Type.ACCEPTED, Status.UNKNOWN, ConditionReason.STARTING, message)
    if isinstance(state.wanted, Leave):
        return _condition(
            Type.ACCEPTED, Status.TRUE, ConditionReason.NOT_ENABLED, state.wanted.reason
        )
    message = f"the configuration of zone {state.wanted.config.zone} is in force"
    return _condition(Type.ACCEPTED, Status.TRUE, ConditionReason.VALID, message)


def _of_config(state: State) -> Problem | None:
    return state.problem(Reason.INVALID_VALUE)


def _joined(state: State) -> Condition:
    if state.wanted is None:
        if state.refused:
            message = "the configuration is not valid"
            return _condition(
                Type.JOINED, Status.FALSE, Reason.INVALID_VALUE, message, _of_config(state)
            )
        return _condition(
            Type.JOINED, Status.UNKNOWN, ConditionReason.STARTING, "nothing has been read yet"
        )
    away = state.problem(Reason.DATABASE_UNREACHABLE)
    if isinstance(state.wanted, Leave):
        return _left(state, state.wanted, away)
    if away is not None:
        message = f"{_said(away)}; what was exchanged before stays, and traffic goes on"
        return _condition(Type.JOINED, Status.UNKNOWN, Reason.DATABASE_UNREACHABLE, message, away)
    missing = [database for database in Database if database not in state.synced]
    if missing:
        message = f"{missing[0]} has not been read yet"
        return _condition(Type.JOINED, Status.UNKNOWN, ConditionReason.STARTING, message)
    return _joining(state, state.wanted.config)


def _left(state: State, wanted: Leave, away: Problem | None) -> Condition:
    if not state.facts.remembers:
        message = f"this cluster takes no part: {wanted.reason}"
        return _condition(Type.JOINED, Status.FALSE, ConditionReason.NOT_ENABLED, message)
    message = f"this cluster is leaving: {wanted.reason}"
    if away is not None:
        message += f"; the rest is removed when {away.object} can be reached"
    return _condition(Type.JOINED, Status.FALSE, ConditionReason.LEAVING, message, away)


def _joining(state: State, config: Config) -> Condition:
    for hindrance in (_unregistered, _no_switch, _no_port, _no_gateway, _no_routes):
        if (found := hindrance(state, config)) is not None:
            return found
    facts = state.facts
    down = [switch.name for switch in facts.transit_switches if not switch.gateway]
    if down:
        message = f"zone {facts.zone} is connected, but not over {_names(down)}"
        problem = _in_the_way(state)
        return _condition(Type.JOINED, Status.TRUE, ConditionReason.PARTLY_JOINED, message, problem)
    over = _names([switch.name for switch in facts.transit_switches])
    if not facts.zones:
        message = f"zone {facts.zone} is connected to {over}; no other zone has joined yet"
        return _condition(Type.JOINED, Status.TRUE, ConditionReason.NO_OTHER_ZONE, message)
    others = _names([zone.name for zone in facts.zones])
    message = f"zone {facts.zone} is connected with {others} over {over}"
    return _condition(Type.JOINED, Status.TRUE, ConditionReason.JOINED, message)


def _unregistered(state: State, config: Config) -> Condition | None:
    if state.facts.registered and state.facts.zone == config.zone:
        return None
    problem = state.problem(Reason.ZONE_NAME_TAKEN, Reason.NOT_PERMITTED, Reason.WRITE_REFUSED)
    if problem is not None:
        return _not_joined(problem.reason, _said(problem), problem)
    return _missing(state, ConditionReason.REGISTERING, f"zone {config.zone} is not registered yet")


def _no_switch(state: State, _config: Config) -> Condition | None:
    if state.facts.transit_switches:
        return None
    return Condition(
        Type.JOINED,
        Status.FALSE,
        Reason.NO_TRANSIT_SWITCH,
        "the IC northbound database has no transit switch for this cluster",
        "declare one: isthmus ic-db run --transit-switch NAME=CIDR",
    )


def _no_port(state: State, _config: Config) -> Condition | None:
    if any(switch.port for switch in state.facts.transit_switches):
        return None
    names = _names([switch.name for switch in state.facts.transit_switches])
    return _hindered(state, ConditionReason.PORT_MISSING, f"there is no port on {names} yet")


def _no_gateway(state: State, _config: Config) -> Condition | None:
    if any(switch.gateway for switch in state.facts.transit_switches):
        return None
    ports = [_port_on(switch) for switch in state.facts.transit_switches if switch.port]
    return _hindered(state, Reason.NO_GATEWAY, f"no gateway serves {_names(ports)}")


def _no_routes(state: State, config: Config) -> Condition | None:
    facts = state.facts
    if not config.auto_route or facts.learned or not facts.on_offer or not state.settled:
        return None
    if state.problem(*REFUSALS) is not None:
        return None
    return Condition(
        Type.JOINED,
        Status.FALSE,
        ConditionReason.NO_ROUTES,
        f"none of the {facts.on_offer} routes that other zones advertise is learned",
        "ask why: isthmus engine explain PREFIX",
    )


def _hindered(state: State, reason: AnyReason, message: str) -> Condition:
    problem = _in_the_way(state)
    if problem is None:
        return _missing(state, reason, message)
    return _not_joined(problem.reason, f"{message}: {_said(problem)}", problem)


def _missing(state: State, reason: AnyReason, message: str) -> Condition:
    """What is not there, without a problem that would explain it."""
    return _not_joined(reason if state.settled else ConditionReason.CONVERGING, message)


def _in_the_way(state: State) -> Problem | None:
    """The problem that most likely keeps ports from being made or served."""
    return state.problem(*_KEEPS_PORTS_AWAY)


def _not_joined(reason: AnyReason, message: str, problem: Problem | None = None) -> Condition:
    return _condition(Type.JOINED, Status.FALSE, reason, message, problem)


def _conflict(state: State) -> Condition:
    found = [problem for problem in state.problems if problem.reason in CONFLICTS]
    if found:
        shown = "; ".join(_said(problem) for problem in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        first = found[0]
        return _condition(Type.CONFLICT, Status.TRUE, first.reason, shown + more, first)
    if state.wanted is None or _unread(state):
        return _condition(
            Type.CONFLICT, Status.UNKNOWN, ConditionReason.STARTING, "not everything has been read"
        )
    return _condition(
        Type.CONFLICT, Status.FALSE, ConditionReason.NO_OVERLAP, "no prefixes overlap"
    )


def _degraded(state: State) -> Condition:
    found = sorted(
        (problem for problem in state.problems if problem.reason not in CONFLICTS), key=_urgency
    )
    if found:
        first, *rest = found
        more = f"; and {len(rest)} more problem{'s' if len(rest) > 1 else ''}" if rest else ""
        reason = first.reason or Reason.OTHER
        return _condition(Type.DEGRADED, Status.TRUE, reason, _said(first) + more, first)
    if state.wanted is None or _unread(state):
        return _condition(
            Type.DEGRADED, Status.UNKNOWN, ConditionReason.STARTING, "not everything has been read"
        )
    return _condition(
        Type.DEGRADED, Status.FALSE, ConditionReason.ALL_WELL, "nothing needs to be mended"
    )


def _unread(state: State) -> bool:
    """Whether a database that matters has never been seen; who leaves needs none."""
    return isinstance(state.wanted, Join) and not set(Database) <= set(state.synced)


def _urgency(problem: Problem) -> tuple[int, Problem]:
    return _ORDER[problem.reason], problem


def _condition(
    kind: Type, status: Status, reason: AnyReason, message: str, problem: Problem | None = None
) -> Condition:
    return Condition(kind, status, reason, message, problem.remedy if problem is not None else "")


def _said(problem: Problem) -> str:
    """The problem without its remedy."""
    return str(replace(problem, remedy="")).removesuffix("; ")


def _port_on(switch: SwitchFacts) -> str:
    return f"{switch.port} on {switch.name}"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _cut(condition: Condition) -> Condition:
    """The condition with a message and remedy that fit into an Event's note together."""
    room = LONGEST - len(condition.remedy) - len("; ")
    if len(condition.message) <= room:
        return condition
    return replace(condition, message=condition.message[: room - 1] + "…")

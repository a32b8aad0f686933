"""The conditions of this cluster: four statements about its part in the interconnection.

`isthmus.daemon.status_source` assesses them after every change, for `isthmus status` and for the
status ConfigMap. They have the form of Kubernetes' conditions (`metav1.Condition`), with `observed`
in place of the generation, since ConfigMaps have none.

- Accepted: the configuration is valid and in force.
- Joined: this cluster is registered, a gateway serves its ports, and routes are exchanged.
- Conflict: prefixes overlap with those of another zone, and are not exchanged.
- Degraded: there is another problem that an operator must fix.

Invariant: what is not known yet is Unknown, never False.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from isthmus.controller.config.configmap import Config, JoinZone, LeaveZone
from isthmus.controller.status.cluster_state import ClusterState
from isthmus.model.problems import Problem
from isthmus.model.reasons import ConditionReason, Reason, Severity
from isthmus.model.rows import Database
from isthmus.model.text import listed

AnyReason: TypeAlias = Reason | ConditionReason

CONFLICTS = frozenset({Reason.OVERLAPPING_PREFIX, Reason.AMBIGUOUS_PREFIX})
"""Reasons of problems that are conflicts of prefixes."""

REFUSALS = CONFLICTS | {Reason.REFUSED_BY_POLICY}
"""Reasons of problems that explain why routes of other zones are not learned."""

_ORDER = {reason: position for position, reason in enumerate(Reason)}

_PREVENTS_PORTS = tuple(Reason)[_ORDER[Reason.NO_ROUTER] : _ORDER[Reason.WRITE_REFUSED] + 1]
"""The reasons that may explain missing ports and ports without a gateway."""

_SEPARATES_ZONES = (
    Reason.CHASSIS_NAME_TAKEN,
    Reason.TUNNEL_IP_TAKEN,
    Reason.GATEWAY_NOT_PUBLISHED,
)
"""The reasons that may explain why another zone's ports have no gateway."""

_PREVENTS_REGISTRATION = (Reason.ZONE_NAME_TAKEN, Reason.NOT_PERMITTED, Reason.WRITE_REFUSED)
"""The reasons that may explain why this zone is not registered."""

LONGEST = 1024
"""The maximum length of a message with its remedy, in characters: that of an Event's note."""

SHOWN = 5
"""The maximum number of problems that a message lists."""


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """The conditions, in the order in which they are listed."""

    ACCEPTED = "Accepted"
    JOINED = ConditionReason.JOINED
    CONFLICT = "Conflict"
    DEGRADED = "Degraded"


GOOD: Mapping[ConditionType, ConditionStatus] = {
    ConditionType.ACCEPTED: ConditionStatus.TRUE,
    ConditionType.JOINED: ConditionStatus.TRUE,
    ConditionType.CONFLICT: ConditionStatus.FALSE,
    ConditionType.DEGRADED: ConditionStatus.FALSE,
}
"""The healthy status of each condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Args:
        type: which condition.
        status: whether it holds.
        reason: why, for programs: a `Reason` or `ConditionReason`, or what another release wrote.
        message: why, for operators; at most `LONGEST` characters.
        remedy: what to do; empty if there is nothing to do.
        since: when `status` last changed (UTC, RFC 3339); empty if not known yet.
        observed: the resourceVersion of the ConfigMap in force; empty if there is no ConfigMap, or
            it is a file without a version.
    """

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    remedy: str = ""
    since: str = ""
    observed: str = ""

    @property
    def good(self) -> bool:
        """Whether the status is the healthy one."""
        return self.status is GOOD[self.type]

    @property
    def text(self) -> str:
        """Message and remedy."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class StatusInput:
    """What conditions are assessed from.

    Args:
        wanted: whether the configuration in force enables interconnection; None if not known yet.
        refused: whether the present ConfigMap is not valid.
        observed: the resourceVersion of the ConfigMap in force.
        synced: the databases that have been read in full.
        settled: whether nothing has been left to do, and nothing has changed, for some seconds.
        cluster: the state of the cluster.
        problems: all problems.
        away: those because of which databases do not answer.
    """

    wanted: JoinZone | LeaveZone | None
    refused: bool
    observed: str
    synced: Collection[Database]
    settled: bool
    cluster: ClusterState
    problems: tuple[Problem, ...]
    away: tuple[Problem, ...] = ()

    def problem(self, *reasons: Reason) -> Problem | None:
        """The first problem with one of these reasons; earlier reasons come first."""
        return next((p for reason in reasons for p in self.problems if p.reason == reason), None)

    def causes(self, *reasons: Reason) -> str:
        """The problems with one of these reasons, e.g. both IC databases, without remedies."""
        found = [problem for problem in self.problems if problem.reason in reasons]
        return _shown(sorted(found, key=lambda problem: _ORDER[problem.reason]))


def assess(state: StatusInput) -> tuple[Condition, ...]:
    """The present conditions, in the order of `ConditionType`; `since` is empty."""
    found = (_accepted(state), _joined(state), _conflict(state), _degraded(state))
    return tuple(replace(_cut(condition), observed=state.observed) for condition in found)


def carry(
    before: Iterable[Condition], now: Iterable[Condition], moment: str
) -> tuple[Condition, ...]:
    """The conditions with `since`: as before, unless the status has changed.

    Args:
        before: as last published.
        now: as assessed.
        moment: the time of `now` (RFC 3339).
    """
    since = {(condition.type, condition.status): condition.since for condition in before}
    return tuple(replace(one, since=since.get((one.type, one.status)) or moment) for one in now)


def changes(before: Iterable[Condition], now: Iterable[Condition]) -> list[Condition]:
    """The conditions of `now` with another status or another reason than before."""
    known = {one.type: (one.status, one.reason) for one in before}
    return [one for one in now if known.get(one.type) != (one.status, one.reason)]


def _accepted(state: StatusInput) -> Condition:
    kind = ConditionType.ACCEPTED
    if state.refused:
        problem = state.problem(Reason.INVALID_VALUE)
        message = "the configuration is not valid, so " + (
            "nothing is done" if state.wanted is None else "the previous one stays in force"
        )
        if problem is not None:
            message += f": {_text(problem)}"
        return _false(kind, Reason.INVALID_VALUE, message, problem)
    if state.wanted is None:
        return _unknown(kind, ConditionReason.STARTING, "the configuration has not been read yet")
    if isinstance(state.wanted, LeaveZone):
        return _true(kind, ConditionReason.NOT_ENABLED, state.wanted.reason)
    message = f"the configuration of zone {state.wanted.config.zone} is in force"
    return _true(kind, ConditionReason.VALID, message)


def _joined(state: StatusInput) -> Condition:
    kind = ConditionType.JOINED
    if state.wanted is None:
        if state.refused:
            problem = state.problem(Reason.INVALID_VALUE)
            return _false(kind, Reason.INVALID_VALUE, "the configuration is not valid", problem)
        return _unknown(kind, ConditionReason.STARTING, "nothing has been read yet")
    unreachable = next(iter(state.away), None)
    if isinstance(state.wanted, LeaveZone):
        return _leaving(state, state.wanted, unreachable)
    if unreachable is not None:
        message = f"{_shown(state.away)}; exchanged routes stay in place, and traffic continues"
        return _unknown(kind, unreachable.reason, message, unreachable)
    missing = [database for database in Database if database not in state.synced]
    if missing:
        message = f"{missing[0]} has not been read yet"
        return _unknown(kind, ConditionReason.STARTING, message)
    return _joining(state, state.wanted.config)


def _leaving(state: StatusInput, wanted: LeaveZone, unreachable: Problem | None) -> Condition:
    kind = ConditionType.JOINED
    if not state.cluster.joined:
        message = f"this cluster does not take part: {wanted.reason}"
        return _false(kind, ConditionReason.NOT_ENABLED, message)
    message = f"this cluster is leaving: {wanted.reason}"
    if unreachable is not None:
        message += f"; the rest is removed when it can be: {_shown(state.away)}"
    return _false(kind, ConditionReason.LEAVING, message, unreachable)


def _joining(state: StatusInput, config: Config) -> Condition:
    for check in (_unregistered, _unconnected, _unreachable, _no_routes):
        if (found := check(state, config)) is not None:
            return found
    kind, cluster = ConditionType.JOINED, state.cluster
    down = [switch.name for switch in cluster.transit_switches if not switch.gateway]
    problem, apart = _apart(state)
    gaps = [f"over {listed(down)}"] if down else []
    gaps += [f"with {listed(apart)}"] if apart else []
    if gaps:
        message = f"zone {cluster.zone} is connected, but not {' and not '.join(gaps)}"
        problem = problem if apart else state.problem(*_PREVENTS_PORTS)
        return _true(kind, ConditionReason.PARTLY_JOINED, message, problem)
    over = listed([switch.name for switch in cluster.transit_switches])
    others = [zone.name for zone in cluster.zones if zone.connected is not None]
    if not others:
        message = f"zone {cluster.zone} is connected to {over}; no other zone has joined yet"
        return _true(kind, ConditionReason.NO_OTHER_ZONE, message)
    message = f"zone {cluster.zone} is connected with {listed(others)} over {over}"
    return _true(kind, ConditionReason.JOINED, message)


def _apart(state: StatusInput) -> tuple[Problem | None, list[str]]:
    """The zones whose ports no gateway serves here, with why; none while it may just take time."""
    problem = state.problem(*_SEPARATES_ZONES)
    expected = problem is None and not state.settled
    zones = [] if expected else state.cluster.zones
    return problem, [zone.name for zone in zones if zone.connected is False]


def _unreachable(state: StatusInput, _config: Config) -> Condition | None:
    problem, apart = _apart(state)
    if not apart or any(zone.connected for zone in state.cluster.zones):
        return None
    message = f"no gateway serves the ports of {listed(apart)}"
    if problem is None:
        return _false(ConditionType.JOINED, ConditionReason.NOT_CONNECTED, message)
    message += f": {state.causes(*_SEPARATES_ZONES)}"
    return _false(ConditionType.JOINED, problem.reason, message, problem)


def _unregistered(state: StatusInput, config: Config) -> Condition | None:
    if state.cluster.registered and state.cluster.zone == config.zone:
        return None
    problem = state.problem(*_PREVENTS_REGISTRATION)
    if problem is not None:
        message = state.causes(*_PREVENTS_REGISTRATION)
        return _false(ConditionType.JOINED, problem.reason, message, problem)
    message = f"zone {config.zone} is not registered yet"
    return _missing(state, ConditionReason.REGISTERING, message)


def _unconnected(state: StatusInput, _config: Config) -> Condition | None:
    switches = state.cluster.transit_switches
    if not switches:
        message = "the IC northbound database has no transit switch for this cluster"
        remedy = "create one: isthmus ic-db run --transit-switch NAME=CIDR"
        condition = _false(ConditionType.JOINED, Reason.NO_TRANSIT_SWITCH, message)
        return replace(condition, remedy=remedy)
    ports = [f"{switch.port} on {switch.name}" for switch in switches if switch.port]
    if not ports:
        message = f"there is no port on {listed([switch.name for switch in switches])} yet"
        return _prevented(state, ConditionReason.PORT_MISSING, message)
    if any(switch.gateway for switch in switches):
        return None
    return _prevented(state, Reason.NO_GATEWAY, f"no gateway serves {listed(ports)}")


def _no_routes(state: StatusInput, config: Config) -> Condition | None:
    cluster = state.cluster
    if not config.auto_route or cluster.learned or not cluster.on_offer or not state.settled:
        return None
    if state.problem(*REFUSALS) is not None:
        return None
    message = f"none of the {cluster.on_offer} routes that other zones advertise is learned"
    remedy = "find out why: isthmus engine explain PREFIX"
    return replace(_missing(state, ConditionReason.NO_ROUTES, message), remedy=remedy)


def _prevented(state: StatusInput, reason: AnyReason, message: str) -> Condition:
    """Something is missing, possibly because of a problem."""
    problem = state.problem(*_PREVENTS_PORTS)
    if problem is None:
        return _missing(state, reason, message)
    message += f": {state.causes(*_PREVENTS_PORTS)}"
    return _false(ConditionType.JOINED, problem.reason, message, problem)


def _missing(state: StatusInput, reason: AnyReason, message: str) -> Condition:
    """Something is missing, and no problem explains why."""
    reason = reason if state.settled else ConditionReason.CONVERGING
    return _false(ConditionType.JOINED, reason, message)


def _conflict(state: StatusInput) -> Condition:
    kind = ConditionType.CONFLICT
    found = [problem for problem in state.problems if problem.reason in CONFLICTS]
    if found:
        return _true(kind, found[0].reason, _shown(found), found[0])
    if _unread(state):
        return _unknown(kind, ConditionReason.STARTING, "not everything has been read yet")
    return _false(kind, ConditionReason.NO_OVERLAP, "no prefixes overlap")


def _degraded(state: StatusInput) -> Condition:
    kind = ConditionType.DEGRADED
    others = (
        problem
        for problem in state.problems
        if problem.reason not in CONFLICTS
        and problem.reason.severity is not Severity.INFO
        # While things change, a path is kept until its replacement works.
        and (state.settled or problem.reason is not Reason.PATH_KEPT)
    )
    found = sorted(others, key=lambda problem: (_ORDER[problem.reason], problem))
    if found:
        first, *rest = found
        more = f"; and {len(rest)} more problem{'s' if len(rest) > 1 else ''}" if rest else ""
        return _true(kind, first.reason, _text(first) + more, first)
    if _unread(state):
        return _unknown(kind, ConditionReason.STARTING, "not everything has been read yet")
    return _false(kind, ConditionReason.ALL_WELL, "there are no problems")


def _unread(state: StatusInput) -> bool:
    """Whether the inputs or a required database have not been read; leaving requires none."""
    if isinstance(state.wanted, JoinZone):
        return not set(Database) <= set(state.synced)
    return state.wanted is None


def _condition(
    status: ConditionStatus,
    kind: ConditionType,
    reason: AnyReason,
    message: str,
    problem: Problem | None = None,
) -> Condition:
    remedy = problem.remedy if problem is not None else ""
    return Condition(kind, status, reason, message, remedy)


_true = partial(_condition, ConditionStatus.TRUE)
_false = partial(_condition, ConditionStatus.FALSE)
_unknown = partial(_condition, ConditionStatus.UNKNOWN)


def _shown(found: Sequence[Problem]) -> str:
    """The first problems without their remedies, and the number of the others."""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(map(_text, found[:SHOWN])) + more


def _text(problem: Problem) -> str:
    """The problem without its remedy."""
    return str(replace(problem, remedy="")).removesuffix("; ")


def _cut(condition: Condition) -> Condition:
    """The condition, with its message shortened so that message and remedy fit into an Event."""
    room = LONGEST - len(condition.remedy) - len("; ")
    if len(condition.message) <= room:
        return condition
    return replace(condition, message=condition.message[: room - 1] + "…")

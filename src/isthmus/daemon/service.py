"""The composition root: which parts make up a daemon."""

import gc
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.status.report import StatusReport
from isthmus.controller.wiring import reconcilers
from isthmus.daemon.certificates import CertificateSource
from isthmus.daemon.controller_source import ControllerSource, ManifestSource
from isthmus.daemon.event_source import EventSource, Writer
from isthmus.daemon.loop import Loop
from isthmus.daemon.node_label_source import NodeLabelSource
from isthmus.daemon.probes import ProbeIntervals
from isthmus.daemon.repairs import RepairSource
from isthmus.daemon.sessions import CONTROLLER_LOCK, LOCK, DatabaseSessions
from isthmus.daemon.status_source import StatusSource
from isthmus.daemon.timers import HeartbeatTimer, ReconcilerTimer
from isthmus.daemon.unixctl_commands import (
    engine_commands,
    process_commands,
    ready_command,
    status_command,
)
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.routes.path_readiness import SETTLE
from isthmus.exchange.wiring import exchange, observer
from isthmus.model.route_rules import RouteLimits
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import Command, ControlServer

COLLECTOR = (100_000, 20, 20)
"""Objects allocated minus freed until the youngest are collected (some 10 MiB of rows), and
collections of one generation until the next older one is collected as well."""

KubernetesWriters = tuple[Writer[StatusReport], Writer[Mapping[str, str]]]
"""What writes to the Kubernetes API: the status, and the labels of gateway Nodes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator gives on the command line.

    Args:
        remotes: where databases are (ovsdb(7) connection methods).
        probe_interval: milliseconds between keepalive probes; None for the default.
        alone: whether `ovn-ic` is the engine, and Isthmus only the controller next to it.
        limits: how many routes are considered, if there is no controller.
    """

    remotes: Mapping[Database, str]
    probe_interval: int | None = None
    alone: bool = False
    limits: RouteLimits = field(default_factory=RouteLimits)


def engine_alone(settings: Settings, control: ControlServer | None = None) -> Loop:
    """The interconnection engine on four given databases, as `ovn-ic` is.

    Args:
        control: the control socket, if there is one; commands on the process are added.
    """
    view = View()
    parts = exchange(view, limits=settings.limits)
    engine = Engine(view, parts.reconcilers, parts.edges, clock=time.perf_counter)
    sessions = _sessions(settings, view, engine)
    if control is not None:
        control.register(*engine_commands(engine, parts, sessions))
    probes = ProbeIntervals(view, sessions, settings.probe_interval)
    sources = (probes, CertificateSource(sessions), RepairSource(engine))
    return _loop(engine, sessions, sources, control)


def controller_and_engine(
    settings: Settings,
    manifests: ManifestSource,
    inputs: Inputs,
    control: ControlServer | None = None,
    writers: KubernetesWriters | None = None,
) -> Loop:
    """Both in one, or the controller alone; the manifests name the IC databases.

    Args:
        manifests: closed with the loop.
        inputs: of the controller, still empty.
        control: the control socket, if there is one; commands are added.
        writers: None if nothing is written to the Kubernetes API.
    """
    view = View()
    controlled = reconcilers(view, inputs)
    parts = observer(view) if settings.alone else exchange(view, policy_follows=True, settle=SETTLE)
    everything = (*parts.reconcilers, *controlled)
    engine = Engine(view, everything, parts.edges, clock=time.perf_counter)
    sessions = _sessions(settings, view, engine)
    if control is not None:
        control.register(*engine_commands(engine, parts, sessions))
    import_policy = None if settings.alone else parts.routes.policy
    controller = ControllerSource(
        manifests, inputs, controlled, engine, sessions, view, import_policy
    )
    sources: list[EventSource] = [
        controller,
        ProbeIntervals(view, sessions, settings.probe_interval),
        CertificateSource(sessions),
        repairs := RepairSource(engine),
    ]
    if parts.paths is not None:
        sources.append(ReconcilerTimer(parts.paths.tick))
    if parts.heartbeat is not None:
        sources.append(HeartbeatTimer(parts.heartbeat))
    if settings.alone:
        sources.append(ReconcilerTimer(parts.registration.tick))
    publisher, labeler = writers or (None, None)
    if labeler is not None:
        sources.append(NodeLabelSource(view, inputs, controller, sessions, labeler))
    # The last one: it reports what the others have found in the same turn.
    status = StatusSource(view, inputs, engine, sessions, tuple(sources), publisher, repairs)
    if control is not None:
        # The addresses of the databases in use, as JSON by the names of their schemas.
        remotes = Command("remotes", lambda _: json.dumps(sessions.remotes))
        ready = ready_command(sessions, inputs, settings.remotes)
        control.register(ready, remotes, status_command(status))
    return _loop(engine, sessions, (*sources, status), control)


def _loop(
    engine: Engine,
    sessions: DatabaseSessions,
    sources: Sequence[EventSource],
    control: ControlServer | None,
) -> Loop:
    if control is None:
        return Loop(engine, sessions, sources)
    # The first one: the others see what a command, such as `pause`, has changed.
    loop = Loop(engine, sessions, (control, *sources))
    control.register(*process_commands(loop, sessions))
    return loop


def _sessions(settings: Settings, view: View, engine: Engine) -> DatabaseSessions:
    # Reference counting frees rows. The collector would traverse all of them again and again while
    # a large update is decoded (docs/decisions/0009-cost-of-a-start.md).
    gc.set_threshold(*COLLECTOR)
    lock = CONTROLLER_LOCK if settings.alone else LOCK
    sessions = DatabaseSessions(view, settings.probe_interval, lock)
    for database, remote in settings.remotes.items():
        sessions.use(database, remote, engine, time.monotonic())
    return sessions

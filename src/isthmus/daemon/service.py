"""The composition root: which parts make up a daemon."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.wiring import reconcilers
from isthmus.daemon.controller_source import Controller, Source
from isthmus.daemon.engine_commands import engine_commands
from isthmus.daemon.garbage_collector import collect_rarely
from isthmus.daemon.heartbeat import HeartbeatTimer
from isthmus.daemon.loop import Feed, Loop
from isthmus.daemon.probes import Probes
from isthmus.daemon.readiness import ready_command, remotes_command
from isthmus.daemon.sessions import CONTROLLER_LOCK, LOCK, Databases
from isthmus.daemon.status_source import Publishing, Sink
from isthmus.daemon.timers import Settling
from isthmus.daemon.unixctl_commands import process_commands
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.routes.path_readiness import SETTLE
from isthmus.exchange.wiring import Exchange, exchange, observer
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import ControlServer


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator gives on the command line.

    Args:
        remotes: where databases are (ovsdb(7) connection methods).
        probe_interval: milliseconds between keepalive probes; None for the default.
        alone: whether `ovn-ic` is the engine, and Isthmus the controller beside it.
    """

    remotes: Mapping[Database, str]
    probe_interval: int | None = None
    alone: bool = False


def engine_alone(settings: Settings, control: ControlServer | None = None) -> Loop:
    """The interconnection engine on four given databases, as `ovn-ic` is.

    Args:
        control: the control socket, if there is one; commands on the process are added.
    """
    view = View()
    parts = exchange(view)
    engine = Engine(view, parts.reconcilers, parts.edges, clock=time.perf_counter)
    databases = _databases(settings, view, engine)
    _offer_engine(control, engine, parts, databases)
    return _loop(engine, databases, (Probes(view, databases, settings.probe_interval),), control)


def controller_and_engine(
    settings: Settings,
    source: Source,
    inputs: Inputs,
    control: ControlServer | None = None,
    sink: Sink | None = None,
) -> Loop:
    """Both in one, or the controller alone: the source names the IC databases.

    Args:
        control: the control socket, if there is one; commands are added.
        sink: who publishes what the daemon reports of its cluster, if anybody does.
    """
    view = View()
    intents = reconcilers(view, inputs)
    parts = observer(view) if settings.alone else exchange(view, policy_follows=True, settle=SETTLE)
    everything = (*parts.reconcilers, *intents)
    engine = Engine(view, everything, parts.edges, clock=time.perf_counter)
    databases = _databases(settings, view, engine)
    _offer_engine(control, engine, parts, databases)
    policy = None if settings.alone else parts.routes.policy
    controller = Controller(source, inputs, intents, engine, databases, view, policy)
    probes = Probes(view, databases, settings.probe_interval)
    others = (lambda _now: probes.problems(),)
    publishing = Publishing(view, inputs, engine, databases, controller, others, sink)
    if control is not None:
        control.register(
            ready_command(databases, inputs, settings.remotes),
            remotes_command(databases),
            *publishing.commands(),
        )
    feeds: list[Feed] = [controller, probes]
    if parts.paths is not None:
        feeds.append(Settling(parts.paths))
    if parts.heartbeat is not None:
        feeds.append(HeartbeatTimer(parts.heartbeat))
    if settings.alone:
        feeds.append(Settling(parts.registration))
    feeds.append(publishing)
    return _loop(engine, databases, feeds, control)


def _offer_engine(
    control: ControlServer | None, engine: Engine, parts: Exchange, databases: Databases
) -> None:
    if control is not None:
        control.register(*engine_commands(engine, parts, databases))


def _loop(
    engine: Engine, databases: Databases, feeds: Sequence[Feed], control: ControlServer | None
) -> Loop:
    if control is None:
        return Loop(engine, databases, feeds)
    loop = Loop(engine, databases, (control, *feeds))
    control.register(*process_commands(loop, databases))
    return loop


def _databases(settings: Settings, view: View, engine: Engine) -> Databases:
    collect_rarely()
    lock = CONTROLLER_LOCK if settings.alone else LOCK
    databases = Databases(view, settings.probe_interval, lock)
    for database, remote in settings.remotes.items():
        databases.use(database, remote, engine, time.monotonic())
    return databases

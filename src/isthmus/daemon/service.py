"""The composition root: which parts make up a daemon."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.daemon.collector import collect_rarely
from isthmus.daemon.commands import process_commands
from isthmus.daemon.controller import Controller, Source
from isthmus.daemon.databases import Databases
from isthmus.daemon.engine_commands import engine_commands
from isthmus.daemon.loop import Feed, Loop
from isthmus.daemon.probes import Probes
from isthmus.exchange.wiring import Exchange, exchange
from isthmus.intent.inputs import Inputs
from isthmus.intent.wiring import reconcilers
from isthmus.model.rows import Database
from isthmus.ovsdb.control import ControlServer
from isthmus.reconcile.engine import Engine
from isthmus.reconcile.view import View


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator gives on the command line.

    Args:
        remotes: where databases are (ovsdb(7) connection methods).
        probe_interval: milliseconds between keepalive probes; None for the default.
    """

    remotes: Mapping[Database, str]
    probe_interval: int | None = None


def engine_alone(settings: Settings, control: ControlServer | None = None) -> Loop:
    """The interconnection engine on four given databases, as `ovn-ic` is.

    Args:
        control: the control socket, if there is one; commands on the process are added.
    """
    view = View()
    parts = exchange(view)
    engine = Engine(view, parts.reconcilers, time.perf_counter)
    databases = _databases(settings, view, engine)
    _offer_engine(control, engine, parts, databases)
    return _loop(engine, databases, (Probes(view, databases, settings.probe_interval),), control)


def controller_and_engine(
    settings: Settings, source: Source, inputs: Inputs, control: ControlServer | None = None
) -> Loop:
    """Both in one: `settings` names NB and SB, the source names the IC databases."""
    view = View()
    intents = reconcilers(view, inputs)
    parts = exchange(view)
    engine = Engine(view, (*parts.reconcilers, *intents), time.perf_counter)
    databases = _databases(settings, view, engine)
    _offer_engine(control, engine, parts, databases)
    controller = Controller(source, inputs, intents, engine, databases, view)
    probes = Probes(view, databases, settings.probe_interval)
    return _loop(engine, databases, (controller, probes), control)


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
    loop = Loop(engine, databases, (*feeds, control))
    control.register(*process_commands(loop, databases))
    return loop


def _databases(settings: Settings, view: View, engine: Engine) -> Databases:
    collect_rarely()
    databases = Databases(view, settings.probe_interval)
    for database, remote in settings.remotes.items():
        databases.use(database, remote, engine, time.monotonic())
    return databases

"""The composition root: which parts make up a daemon."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.daemon.collector import collect_rarely
from isthmus.daemon.controller import Controller, Source
from isthmus.daemon.databases import Databases
from isthmus.daemon.loop import Loop
from isthmus.exchange.wiring import exchange
from isthmus.intent.inputs import Inputs
from isthmus.intent.wiring import reconcilers
from isthmus.model.rows import Database
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


def engine_alone(settings: Settings) -> Loop:
    """The interconnection engine on four given databases, as `ovn-ic` is."""
    view = View()
    engine = Engine(view, exchange(view).reconcilers, time.perf_counter)
    return Loop(engine, _databases(settings, view, engine))


def controller_and_engine(settings: Settings, source: Source, inputs: Inputs) -> Loop:
    """Both in one: `settings` names NB and SB, the source names the IC databases."""
    view = View()
    intents = reconcilers(view, inputs)
    engine = Engine(view, (*exchange(view).reconcilers, *intents), time.perf_counter)
    databases = _databases(settings, view, engine)
    controller = Controller(source, inputs, intents, engine, databases, view)
    return Loop(engine, databases, (controller,))


def _databases(settings: Settings, view: View, engine: Engine) -> Databases:
    collect_rarely()
    databases = Databases(view, settings.probe_interval)
    for database, remote in settings.remotes.items():
        databases.use(database, remote, engine, time.monotonic())
    return databases

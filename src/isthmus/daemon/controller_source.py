"""The controller's place in the loop: from the source's snapshots to marked reconcilers."""

from collections.abc import Sequence
from typing import Protocol

from isthmus.controller.import_policy import import_rules
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.controller.joined_zone import joined_zone
from isthmus.controller.reconcilers.base import ControllerKeyed
from isthmus.daemon.sessions import Databases
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import RouteRules
from isthmus.model.rows import Database, NbGlobal
from isthmus.ovsdb.poller import Poller


class Source(Protocol):
    """Where the manifests come from."""

    def fileno(self) -> int:
        """Readable when `poll` may have something new."""

    def next_wakeup(self) -> float:
        """When `poll` must be called in any case: monotonic seconds."""

    def poll(self, now: float) -> Snapshot | None:
        """A new snapshot, or None."""

    def close(self) -> None:
        """Stop watching."""


class Controller:
    """Follows the source, and connects to the IC databases that it names.

    Args:
        source: closed with the loop.
        inputs: shared with the reconcilers.
        intents: the controller's reconcilers, part of the engine.
        engine, databases, view: of the loop.
        policy: the import policy of the interconnection engine; None if `ovn-ic` is the engine,
            which has no such rules.

    Attributes:
        snapshot: the last one that was taken over; None if there has been none.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root names each part once
        self,
        source: Source,
        inputs: Inputs,
        intents: "Sequence[ControllerKeyed[object]]",
        engine: Engine,
        databases: Databases,
        view: View,
        policy: ImportPolicy | None,
    ) -> None:
        self._source, self._inputs, self._intents = source, inputs, intents
        self._engine, self._databases, self._view = engine, databases, view
        self._policy = policy
        self.snapshot: Snapshot | None = None

    def run(self, now: float) -> None:
        """Take over a new snapshot, and follow the addresses of the IC databases."""
        snapshot = self._source.poll(now)
        if snapshot is not None:
            self.snapshot = snapshot
            changed = self._inputs.update(snapshot)
            if self._policy is not None:
                self._policy.set_rules(import_rules(self._inputs))
            for intent in self._intents:
                intent.mark(intent.affected(changed))
        for database, remote in zip((Database.IC_NB, Database.IC_SB), self._remotes(), strict=True):
            self._databases.use(database, remote, self._engine, now)

    def problems(self) -> Sequence[Problem]:
        """What is wrong with the manifests, or cannot be done."""
        problems = [*self._inputs.problems()]
        config = self._inputs.config
        if self._policy is None and config is not None and config.rules != RouteRules():
            problems.append(_not_enforced(str(self._inputs.config_map)))
        return problems

    def wait(self, poller: Poller, now: float) -> None:
        """Wake when the source has something new."""
        poller.wait_readable(self._source.fileno())
        poller.wake_in(self._source.next_wakeup() - now)

    def close(self) -> None:
        """Stop watching."""
        self._source.close()

    def _remotes(self) -> tuple[str, str]:
        """The IC databases of the configuration, or of the zone that is being left."""
        config = self._inputs.config
        if config is not None:
            return config.ic_nb_remote, config.ic_sb_remote
        memory = joined_zone(self._view.table(NbGlobal).single())
        return (memory.ic_nb_remote, memory.ic_sb_remote) if memory else ("", "")


def _not_enforced(config_map: str) -> Problem:
    return Subject(config_map, "data.accept or data.advertise").problem(
        "has no effect, since ovn-ic exchanges the routes and knows no such rules",
        "remove it, or run Isthmus as engine, too: without --engine none",
        Reason.NOT_ENFORCED,
    )

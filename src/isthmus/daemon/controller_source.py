"""The event source of the controller: snapshots of manifests become marked reconcilers."""

from collections.abc import Sequence
from typing import Protocol

from isthmus.controller.import_policy import import_rules
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.inputs.snapshot import Snapshot
from isthmus.controller.reconcilers.base import ControllerKeyed
from isthmus.controller.zones import is_joined, joined_zone
from isthmus.daemon.event_source import EventSource
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.engine.engine import Engine
from isthmus.engine.view import View
from isthmus.exchange.routes.import_policy import ImportPolicy
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.route_rules import RouteRules
from isthmus.model.rows import Database, NbGlobal
from isthmus.ovsdb.poller import Poller


class ManifestSource(Protocol):
    """Where the manifests come from: a directory or the Kubernetes API."""

    def fileno(self) -> int:
        """Readable when `poll` may have something new."""

    def next_wakeup(self) -> float:
        """When `poll` must be called in any case: monotonic seconds."""

    def poll(self, now: float) -> Snapshot | None:
        """A new snapshot, or None."""

    def close(self) -> None:
        """Stop watching."""


class ControllerSource(EventSource):
    """Follows the manifests, and connects to the IC databases that they name.

    Args:
        manifests: closed with the loop.
        inputs: shared with the reconcilers.
        reconcilers: the controller's, which are part of the engine.
        engine, sessions, view: of the loop.
        import_policy: of the interconnection engine, updated after each change of the inputs; None
            if `ovn-ic` is the engine, which has no such rules.

    Attributes:
        snapshot: the latest; None before the first.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root names each part once
        self,
        manifests: ManifestSource,
        inputs: Inputs,
        reconcilers: "Sequence[ControllerKeyed[object]]",
        engine: Engine,
        sessions: DatabaseSessions,
        view: View,
        import_policy: ImportPolicy | None,
    ) -> None:
        self._manifests, self._inputs, self._reconcilers = manifests, inputs, reconcilers
        self._engine, self._sessions, self._view = engine, sessions, view
        self._import_policy = import_policy
        self.snapshot: Snapshot | None = None
        self._held: Snapshot | None = None

    def run(self, now: float) -> None:
        """Take in a new snapshot, and follow the addresses of the IC databases."""
        snapshot = self._manifests.poll(now) or self._held
        # Whether no object at all means a loss depends on what this cluster's NB contains.
        empty = snapshot is not None and snapshot.complete and not snapshot.objects
        self._held = snapshot if empty and Database.NB not in self._sessions.synced else None
        if snapshot is not None and self._held is None:
            self.snapshot = snapshot
            changed = self._inputs.update(snapshot, joined=is_joined(self._view))
            if self._import_policy is not None:
                self._import_policy.set_rules(import_rules(self._inputs))
            for reconciler in self._reconcilers:
                reconciler.mark(reconciler.affected(changed))
        for database, remote in zip((Database.IC_NB, Database.IC_SB), self._remotes(), strict=True):
            self._sessions.use(database, remote, self._engine, now)

    def problems(self) -> Sequence[Problem]:
        """Problems with the manifests, or with what they ask for."""
        problems = [*self._inputs.problems]
        config = self._inputs.config
        if self._import_policy is None and config is not None and config.rules != RouteRules():
            problems.append(_not_enforced(str(self._inputs.config_map)))
        return problems

    def wait(self, poller: Poller, now: float) -> None:
        """Wake when there is a new snapshot."""
        poller.wait_readable(self._manifests.fileno())
        poller.wake_in(self._manifests.next_wakeup() - now)

    def close(self) -> None:
        """Stop watching."""
        self._manifests.close()

    def _remotes(self) -> tuple[str, str]:
        """The IC databases of the configuration, or of the zone that is being left."""
        config = self._inputs.config
        if config is not None:
            return config.ic_nb_remote, config.ic_sb_remote
        memory = joined_zone(self._view.table(NbGlobal).single())
        return (memory.ic_nb_remote, memory.ic_sb_remote) if memory else ("", "")


def _not_enforced(config_map: str) -> Problem:
    return Subject(config_map, "data.accept or data.advertise").problem(
        "has no effect, because ovn-ic exchanges the routes and has no such rules",
        "remove it, or run Isthmus as the engine, without --engine none",
        Reason.NOT_ENFORCED,
    )

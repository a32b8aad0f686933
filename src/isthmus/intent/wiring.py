"""How the controller is put together: all of its reconcilers, in one place.

The daemon gives the reconcilers to the engine beside those of the interconnection engine, and
hands every snapshot of its source to `Controller.update`.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from isthmus.intent.address_claims import AddressClaims
from isthmus.intent.base import IntentReconciler
from isthmus.intent.inputs import Changed, Inputs
from isthmus.intent.leave import ForgetZone, LeaveNorthbound, LeaveSouthbound
from isthmus.intent.lookup import Lookup
from isthmus.intent.memory import remembered
from isthmus.intent.nb_global import NbGlobalOptions
from isthmus.intent.route_policies import RoutePolicies
from isthmus.intent.router_ports import RouterPorts
from isthmus.intent.snapshot import Snapshot
from isthmus.model.problems import Problem
from isthmus.reconcile.view import View

AnyIntentReconciler: TypeAlias = IntentReconciler[Any]


@dataclass(frozen=True, slots=True)
class Controller:
    """The controller's parts.

    Args:
        inputs: what the operator asks for.
        reconcilers: for `isthmus.reconcile.engine`, in the order in which joining needs them.
    """

    inputs: Inputs
    reconcilers: tuple[AnyIntentReconciler, ...]
    _lookup: Lookup

    def update(self, snapshot: Snapshot) -> Changed:
        """Take over a snapshot and mark what it affects; what changed."""
        changed = self.inputs.update(snapshot)
        if changed:
            for reconciler in self.reconcilers:
                reconciler.mark(reconciler.affected(changed))
        return changed

    def ic_remotes(self) -> tuple[str, str] | None:
        """Where IC-NB and IC-SB are, in the syntax of ovsdb(7); None if that is not known.

        From the configuration in force; without one, from what the northbound database
        remembers: it takes them to leave.
        """
        config = self.inputs.config
        if config is not None:
            return config.ic_nb_remote, config.ic_sb_remote
        memory = remembered(self._lookup.nb_global())
        return (memory.ic_nb_remote, memory.ic_sb_remote) if memory is not None else None

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the inputs; the reconcilers' problems are the engine's to tell."""
        return self.inputs.problems()


def controller(view: View, inputs: Inputs | None = None) -> Controller:
    """Wire the controller over a view.

    Args:
        view: shared with the engine.
        inputs: to obey; by default those of a Kube-OVN cluster.
    """
    inputs = inputs or Inputs()
    lookup = Lookup(view, inputs)
    kinds: tuple[type[AnyIntentReconciler], ...] = (
        NbGlobalOptions,
        AddressClaims,
        RouterPorts,
        RoutePolicies,
        LeaveNorthbound,
        LeaveSouthbound,
        ForgetZone,
    )
    return Controller(inputs, tuple(kind(view, inputs, lookup) for kind in kinds), lookup)

"""The base class of the controller's reconcilers, which depend on the inputs and the view."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from typing import TypeVar

from isthmus.controller.connections import Connections
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.engine.reconciler import Keyed, Reconciler
from isthmus.engine.view import View
from isthmus.model.changes import Change

K = TypeVar("K", bound=Hashable)


class ControllerKeyed(Keyed[K]):
    """Derived state or a reconciler that depends on the inputs.

    Args:
        view: the contents of the databases.
        inputs: the inputs in force.
    """

    def __init__(self, view: View, inputs: Inputs) -> None:
        super().__init__()
        self.view, self.inputs, self.connections = view, inputs, Connections(view, inputs)

    def all_keys(self, _: Change) -> Iterable[K]:
        """All keys, for tables of which any change may affect any key (a watch)."""
        return self.keys()

    def of_router(self, change: Change) -> Iterable[K]:
        """All keys, if a router was added, deleted or changed, or its ports were (a watch)."""
        ports = "ports" in change.joined or "ports" in change.left
        return self.keys() if change.old != change.new or ports else ()

    @abstractmethod
    def affected(self, changed: Changed) -> Iterable[K]:
        """The keys that a change of the inputs may affect; called once after each update."""


class ControllerReconciler(ControllerKeyed[K], Reconciler[K]):
    """A reconciler whose desired state comes from the inputs."""

"""The base of the controller's reconcilers: they depend on the inputs beside the view."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from typing import TypeVar

from isthmus.controller.connections import Lookup
from isthmus.controller.inputs.inputs import Changed, Inputs
from isthmus.engine.reconciler import Reconciler
from isthmus.engine.view import View

K = TypeVar("K", bound=Hashable)


class IntentReconciler(Reconciler[K]):
    """A reconciler whose wanted state comes from the inputs.

    Args:
        view: what is there.
        inputs: what the operator asks for.
        lookup: shared indexes over the view.
    """

    def __init__(self, view: View, inputs: Inputs, lookup: Lookup) -> None:
        super().__init__()
        self.view, self.inputs, self.lookup = view, inputs, lookup

    @abstractmethod
    def affected(self, changed: Changed) -> Iterable[K]:
        """The keys that a change of the inputs may affect."""

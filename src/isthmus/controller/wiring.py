"""All reconcilers of the controller, put together.

The daemon gives them to the engine together with those of the exchange engine. After each
`Inputs.update` it marks the keys that each of them returns from `affected`.
"""

from typing import Any, TypeAlias

from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.reconcilers.address_claims import AddressClaims
from isthmus.controller.reconcilers.base import ControllerKeyed
from isthmus.controller.reconcilers.declared_routes import DeclaredRoutes
from isthmus.controller.reconcilers.leave import LeaveNorthbound, LeaveSouthbound, RemoveJoinedZone
from isthmus.controller.reconcilers.nb_global import NbGlobalOptions, TrustedZone
from isthmus.controller.reconcilers.path_protection import PathProtection
from isthmus.controller.reconcilers.route_policies import RoutePolicies
from isthmus.controller.reconcilers.router_ports import RouterPorts
from isthmus.controller.reconcilers.vpcs import VpcReports
from isthmus.engine.view import View

AnyControllerReconciler: TypeAlias = ControllerKeyed[Any]

_KINDS: tuple[type[AnyControllerReconciler], ...] = (
    PathProtection,
    NbGlobalOptions,
    AddressClaims,
    RouterPorts,
    VpcReports,
    DeclaredRoutes,
    RoutePolicies,
    TrustedZone,
    LeaveNorthbound,
    LeaveSouthbound,
    RemoveJoinedZone,
)
"""In the order in which a joining zone needs them; only speed depends on it."""


def reconcilers(view: View, inputs: Inputs) -> list[AnyControllerReconciler]:
    """Create the reconcilers.

    Args:
        view: shared with the engine.
        inputs: the inputs in force.
    """
    return [kind(view, inputs) for kind in _KINDS]

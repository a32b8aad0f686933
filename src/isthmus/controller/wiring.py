"""How the controller is put together: all of its reconcilers, in one place.

The daemon gives them to the engine beside those of the interconnection engine. After each
`Inputs.update` it marks what every one of them says is `affected`.
"""

from typing import Any, TypeAlias

from isthmus.controller.connections import Lookup
from isthmus.controller.inputs.inputs import Inputs
from isthmus.controller.reconcilers.address_claims import AddressClaims
from isthmus.controller.reconcilers.base import IntentReconciler
from isthmus.controller.reconcilers.declared_routes import DeclaredRoutes
from isthmus.controller.reconcilers.leave import (
    ForgetZone,
    IcNorthboundAtRest,
    IcSouthboundAtRest,
    LeaveNorthbound,
    LeaveSouthbound,
    SouthboundAtRest,
)
from isthmus.controller.reconcilers.nb_global import NbGlobalOptions
from isthmus.controller.reconcilers.route_policies import RoutePolicies
from isthmus.controller.reconcilers.router_ports import RouterPorts
from isthmus.controller.reconcilers.vpcs import VpcReports
from isthmus.engine.view import View

AnyIntentReconciler: TypeAlias = IntentReconciler[Any]


def reconcilers(view: View, inputs: Inputs) -> list[AnyIntentReconciler]:
    """Wire the controller over a view.

    Args:
        view: shared with the engine.
        inputs: what the operator asks for.

    Returns:
        The reconcilers in the order in which joining needs them; nothing but speed depends on
        it.
    """
    lookup = Lookup(view, inputs)
    at_rest = (
        SouthboundAtRest(view, inputs, lookup),
        IcNorthboundAtRest(view, inputs, lookup),
        IcSouthboundAtRest(view, inputs, lookup),
    )
    return [
        NbGlobalOptions(view, inputs, lookup),
        AddressClaims(view, inputs, lookup),
        RouterPorts(view, inputs, lookup),
        VpcReports(view, inputs, lookup),
        DeclaredRoutes(view, inputs, lookup),
        RoutePolicies(view, inputs, lookup),
        LeaveNorthbound(view, inputs, lookup),
        LeaveSouthbound(view, inputs, lookup),
        *at_rest,
        ForgetZone(view, inputs, lookup, at_rest),
    ]

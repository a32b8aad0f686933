"""How the controller is put together: all of its reconcilers, in one place.

The daemon gives them to the engine beside those of the interconnection engine. After each
`Inputs.update` it marks what every one of them says is `affected`.
"""

from typing import Any, TypeAlias

from isthmus.intent.address_claims import AddressClaims
from isthmus.intent.base import IntentReconciler
from isthmus.intent.declared_routes import DeclaredRoutes
from isthmus.intent.inputs import Inputs
from isthmus.intent.leave import (
    ForgetZone,
    IcNorthboundAtRest,
    IcSouthboundAtRest,
    LeaveNorthbound,
    LeaveSouthbound,
    SouthboundAtRest,
)
from isthmus.intent.lookup import Lookup
from isthmus.intent.nb_global import NbGlobalOptions
from isthmus.intent.route_policies import RoutePolicies
from isthmus.intent.router_ports import RouterPorts
from isthmus.intent.vpc_reports import VpcReports
from isthmus.reconcile.view import View

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

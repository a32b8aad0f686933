"""What the fake OVSDB has of OVN's schemas; tests/contract compares with the installed ones."""

from isthmus.model.rows import Database

ROOTS = {
    "NB_Global", "Logical_Switch", "Logical_Router", "Chassis", "IC_NB_Global", "Transit_Switch",
    "IC_SB_Global", "Availability_Zone", "Gateway", "Datapath_Binding", "Port_Binding", "Route",
    "Load_Balancer", "Load_Balancer_Group", "Learned_Route", "Service_Monitor", "Transit_Router",
}  # fmt: skip
INDEXES: dict[tuple[Database, str], tuple[tuple[str, ...], ...]] = {
    (Database.NB, "Logical_Switch_Port"): (("name",),),
    (Database.NB, "Logical_Router_Port"): (("name",),),
    (Database.NB, "Gateway_Chassis"): (("name",),),
    (Database.NB, "Load_Balancer_Group"): (("name",),),
    (Database.SB, "Chassis"): (("name",),),
    (Database.SB, "Encap"): (("type", "ip"),),
    (Database.SB, "Port_Binding"): (("logical_port",),),
    (Database.SB, "Service_Monitor"): (("logical_port", "ip", "port", "protocol"),),
    (Database.IC_NB, "Transit_Switch"): (("name",),),
    (Database.IC_SB, "Availability_Zone"): (("name",),),
    (Database.IC_SB, "Gateway"): (("name",),),
    (Database.IC_SB, "Encap"): (("type", "ip"),),
    (Database.IC_SB, "Datapath_Binding"): (("tunnel_key",),),
    (Database.IC_SB, "Port_Binding"): (("transit_switch", "tunnel_key"), ("logical_port",)),
    (Database.IC_SB, "Route"): (
        ("transit_switch", "availability_zone", "route_table", "ip_prefix", "nexthop"),
    ),
}
STRONG: dict[tuple[Database, str], dict[str, str]] = {
    (Database.NB, "Logical_Switch"): {"ports": "Logical_Switch_Port"},
    (Database.NB, "Logical_Router"): {
        "ports": "Logical_Router_Port",
        "static_routes": "Logical_Router_Static_Route",
        "policies": "Logical_Router_Policy",
        "nat": "NAT",
        "load_balancer_group": "Load_Balancer_Group",
    },
    (Database.NB, "Logical_Router_Port"): {"gateway_chassis": "Gateway_Chassis"},
    (Database.SB, "Chassis"): {"encaps": "Encap"},
    (Database.IC_SB, "Gateway"): {"availability_zone": "Availability_Zone", "encaps": "Encap"},
    (Database.IC_SB, "Port_Binding"): {"availability_zone": "Availability_Zone"},
    (Database.IC_SB, "Route"): {"availability_zone": "Availability_Zone"},
}
WEAK: dict[tuple[Database, str], dict[str, str]] = {
    (Database.NB, "Logical_Router"): {"load_balancer": "Load_Balancer"},
    (Database.NB, "Load_Balancer_Group"): {"load_balancer": "Load_Balancer"},
    (Database.NB, "NAT"): {"gateway_port": "Logical_Router_Port"},
    (Database.SB, "Port_Binding"): {"chassis": "Chassis"},
}

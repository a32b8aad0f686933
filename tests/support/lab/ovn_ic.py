"""OVN's own `ovn-ic` in a cluster of the lab."""

from functools import partial

from isthmus_lab.lab import ClusterHandle
from isthmus_lab.topology.plan import IC_NB_PORT, IC_SB_PORT, endpoint
from isthmus_lab.waiting import wait_until
from support.lab.joined import LIMIT_S


def start_ovn_ic(handle: ClusterHandle) -> None:
    """Start `ovn-ic` in a cluster."""
    lab, host = handle.lab, handle.plan.central.name
    run, ic = lab.layout.run(host), lab.plan.ic_members[0].address
    lab.start(
        host,
        "ovn-ic",
        [
            *("ovn-ic", f"--ovnnb-db=unix:{run}/ovnnb_db.sock"),
            *(f"--ovnsb-db=unix:{run}/ovnsb_db.sock", f"--unixctl={run}/ovn-ic.ctl"),
            # With the monitor, as in the packages: ovn-ic sometimes exits when its zone's name is
            # removed while it writes.
            *("--monitor", f"--log-file={run}/ovn-ic.log"),
            *(f"--ic-nb-db={endpoint(ic, IC_NB_PORT)}", f"--ic-sb-db={endpoint(ic, IC_SB_PORT)}"),
        ],
    )


def refresh_flows(handle: ClusterHandle) -> None:
    """Make all nodes remove flows with the tunnel keys that ports had before ovn-ic chose new ones.

    ovn-controller 23.03 keeps them about once in sixty times, and then drops incoming packets
    permanently. Isthmus chooses the keys when it creates the ports, so only manual setups need
    this.
    """
    wait_until(partial(_has_keys, handle), LIMIT_S, "tunnel keys of all ports in transit switches")
    handle.nbctl("--wait=hv", "--timeout=30", "sync")
    for node in handle.plan.nodes:
        handle.lab.run(node.name, ["ovn-appctl", "-t", "ovn-controller", "recompute"])


def _has_keys(handle: ClusterHandle) -> bool:
    plan = handle.lab.plan
    key = "options:requested-tnl-key"
    names = [switch.name for switch in plan.topology.transit_switches]
    ports = [f"{ts}-{c.az_name}" for ts in names for c in plan.clusters]
    return all(
        handle.nbctl("--if-exists", "get", "Logical_Switch_Port", port, key).strip()
        for port in ports
    )

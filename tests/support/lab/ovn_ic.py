"""OVN's own `ovn-ic` in a cluster of the lab."""

from collections.abc import Iterable
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


def refresh_flows(handle: ClusterHandle, ports: Iterable[str]) -> None:
    """Make all nodes remove flows with the tunnel keys that ports had before ovn-ic chose new ones.

    ovn-controller 23.03 keeps them about once in sixty times, and then drops incoming packets
    permanently. Isthmus chooses the keys when it creates the ports, so only manual setups need
    this.

    Args:
        handle: the cluster.
        ports: all ports on transit switches.
    """
    for port in ports:
        wait_until(partial(_tunnel_key, handle, port), LIMIT_S, f"the tunnel key of {port}")
    handle.nbctl("--wait=hv", "--timeout=30", "sync")
    for node in handle.plan.nodes:
        handle.lab.run(node.name, ["ovn-appctl", "-t", "ovn-controller", "recompute"])


def _tunnel_key(handle: ClusterHandle, port: str) -> str:
    get = ("--if-exists", "get", "Logical_Switch_Port", port, "options:requested-tnl-key")
    return handle.nbctl(*get).strip()

"""Which data path Open vSwitch can use here: the kernel's, or its own in userspace."""

from pathlib import Path
from typing import Literal

from isthmus_lab.errors import LabError
from isthmus_lab.system.processes import run

Datapath = Literal["netdev", "system"]


def probe(netns: str) -> Datapath:
    """OVS's `datapath_type` for this machine: `system` where the kernel has what it needs.

    Args:
        netns: a namespace of ours to try in.
    """
    # Making the device loads the module if there is one; the switch's own module does not load
    # by itself, but comes with the same kernel packages.
    try:
        run(["ip", "link", "add", "probe0", "type", "geneve", "external"], netns=netns)
    except LabError:
        return "netdev"
    run(["ip", "link", "del", "probe0"], netns=netns)
    return "system" if _has_openvswitch() else "netdev"


def _has_openvswitch() -> bool:
    if Path("/sys/module/openvswitch").is_dir():
        return True
    try:
        run(["modprobe", "openvswitch"])
    except (LabError, OSError):
        return False
    return True

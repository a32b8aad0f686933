"""Find out whether Open vSwitch can use the kernel data path here, or only the one in userspace."""

from pathlib import Path
from typing import Literal

from isthmus_lab.errors import LabError
from isthmus_lab.system.processes import run

Datapath = Literal["netdev", "system"]


def probe(netns: str) -> Datapath:
    """The `datapath_type` for Open vSwitch: `system` if the kernel supports it, else `netdev`.

    Args:
        netns: a namespace of the lab in which to create a test device.
    """
    # Creating the device loads the geneve module if it exists. The openvswitch module comes with
    # the same kernel packages but must be loaded explicitly.
    try:
        run(["ip", "link", "add", "probe0", "type", "geneve", "external"], netns=netns)
        run(["ip", "link", "del", "probe0"], netns=netns)
        if not Path("/sys/module/openvswitch").is_dir():
            run(["modprobe", "openvswitch"])
    except (LabError, OSError):
        return "netdev"
    return "system"

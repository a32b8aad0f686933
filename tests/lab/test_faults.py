"""Faults that users of Kube-OVN's feature hit and that only packets show; more are in tests/unit.

The numbers are those under which they were collected; what each was is in the test's sentence.
"""

import pytest

from isthmus_lab.build.network import POD_LINK
from support.lab.joined import Joined

pytestmark = pytest.mark.lab


def large_ping(joined: Joined) -> str:
    """What a pod of az1 is told when it sends a packet of its full MTU that must stay whole."""
    ping = "ping -c 1 -W 1 -M do -s 1372 10.17.0.2 2>&1 || true"
    return joined.lab.run("az1-web", ["sh", "-c", ping])


def test_fault_22_pods_of_a_larger_mtu_are_told_the_smaller_one(joined: Joined) -> None:
    """Packets vanished that were larger than the other cluster's MTU; now their sender is told."""
    joined.lab.run("az2-web", ["ip", "link", "set", POD_LINK, "mtu", "1300"])
    try:
        joined.configure("az1", mtu="off")
        joined.configure("az2", mtu="off")
        joined.wait(lambda: "100% packet loss" in large_ping(joined), "them to vanish")
        assert "mtu" not in large_ping(joined)
        joined.configure("az2", mtu="1300")
        joined.wait(lambda: "mtu = 1300" in large_ping(joined), "the sender to be told")
        joined.wait_for_all()
    finally:
        joined.lab.run("az1-web", ["ip", "route", "flush", "cache"])
        joined.lab.run("az2-web", ["ip", "link", "set", POD_LINK, "mtu", "1400"])

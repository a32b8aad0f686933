"""Known faults of Kube-OVN's interconnection that only packets show; tests/unit has the others.

The numbers are those of the collection of faults; the docstring of each test describes its fault.
"""

import pytest

from isthmus_lab.build.network import POD_LINK
from support.lab.joined import Joined

pytestmark = pytest.mark.lab


def large_ping(joined: Joined) -> str:
    """The error that a pod of az1 gets for a full-size packet with the don't-fragment flag."""
    ping = "ping -c 1 -W 1 -M do -s 1372 10.17.0.2 2>&1 || true"
    return joined.lab.run("az1-web", ["sh", "-c", ping])


def test_fault_22_senders_learn_the_smaller_mtu(joined: Joined) -> None:
    """Packets larger than the other cluster's MTU vanished; now the sender gets an ICMP error."""
    joined.lab.run("az2-web", ["ip", "link", "set", POD_LINK, "mtu", "1300"])
    try:
        joined.configure("az1", mtu="off")
        joined.configure("az2", mtu="off")
        joined.wait(lambda: "100% packet loss" in large_ping(joined), "them to vanish")
        assert "mtu" not in large_ping(joined)
        joined.configure("az2", mtu="1300")
        joined.wait(lambda: "mtu = 1300" in large_ping(joined), "the error to reach the sender")
        joined.wait_for_all()
    finally:
        joined.lab.run("az1-web", ["ip", "route", "flush", "cache"])
        joined.lab.run("az2-web", ["ip", "link", "set", POD_LINK, "mtu", "1400"])

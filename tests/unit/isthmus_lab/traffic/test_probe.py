"""The paths of probes, and the parts of probes that need no network."""

import struct

from isthmus_lab.topology.loader import find, load, parse, read
from isthmus_lab.topology.planner import make_plan
from isthmus_lab.traffic import icmp, probe

PLAN = make_plan(load(find("demo")))


def test_paths_join_different_clusters_only() -> None:
    """Every pod is paired with every pod of the other cluster, in both directions."""
    paths = probe.paths(PLAN.pods, PLAN.pods)
    assert len(paths) == 18
    assert all(path.source.cluster != path.target.cluster for path in paths)


def test_paths_need_a_family_in_common() -> None:
    """Between a dual-stack and an IPv4 cluster only IPv4 is probed."""
    data = read(find("demo"))
    data["family"] = "dual"
    for cluster in data["clusters"]:
        del cluster["subnets"]
        cluster["pods"] = cluster["pods"][:1]
    data["clusters"][1]["family"] = "ipv4"
    plan = make_plan(parse(data, "test"))
    assert {path.address.version for path in probe.paths(plan.pods, plan.pods)} == {4}


def test_checksum_makes_the_packet_sum_to_zero() -> None:
    """A packet that contains its checksum has checksum 0, for odd and even lengths (RFC 1071)."""
    for payload in (b"abc", b"abcd", bytes(range(256))):
        packet = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + payload
        filled = packet[:2] + struct.pack("!H", icmp.checksum(packet)) + packet[4:]
        assert icmp.checksum(filled) == 0


def test_translated_addresses_are_noticed() -> None:
    """Only the pod's own address counts as not translated."""
    path = probe.paths(PLAN.pods, PLAN.pods)[0]
    assert probe.sees_own_address(path, f"{path.target.name} sees {path.expected_source}")
    assert not probe.sees_own_address(path, f"{path.target.name} sees 192.168.65.11")

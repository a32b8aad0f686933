"""ICMP echo requests and replies from within a namespace, without starting a process.

Used by `probe`, and by the continuous traffic of tests. Uses raw sockets, as the kernel's ping
sockets are disabled in new namespaces.
"""

import os
import socket
import struct

from isthmus_lab.system.netns import inside

_ECHO = {4: (8, 0), 6: (128, 129)}
"""Type of request and reply: RFC 792, RFC 4443."""

_HEADER = struct.Struct("!BBHHH")


def echo_socket(netns: str, version: int) -> socket.socket:
    """Open a non-blocking socket for echo messages in a namespace.

    Args:
        netns: name of the namespace.
        version: 4 or 6, the IP version.

    Raises:
        OSError: the namespace does not exist, or the process is not root.
    """
    with inside(netns):
        if version == 4:
            link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            link = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    link.setblocking(False)
    return link


def request(version: int, payload: bytes) -> bytes:
    """An echo request. For IPv6 the kernel fills in the checksum (RFC 3542)."""
    kind, _ = _ECHO[version]
    packet = _HEADER.pack(kind, 0, 0, os.getpid() & 0xFFFF, 1) + payload
    if version == 4:
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    return packet


def reply(version: int, packet: bytes) -> bytes | None:
    """The payload of a packet from a raw socket; None if it is not an echo reply."""
    if version == 4:
        packet = packet[(packet[0] & 0xF) * 4 :]
    _, kind = _ECHO[version]
    return packet[_HEADER.size :] if packet[0] == kind else None


def checksum(packet: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet[: len(packet) // 2 * 2]))
    if len(packet) % 2:
        total += packet[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

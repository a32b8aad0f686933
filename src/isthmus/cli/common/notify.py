"""Tells whoever started a long-running verb that it is ready, as systemd's sd_notify(3) does.

Called by verbs that serve. Without `NOTIFY_SOCKET` in the environment nothing is done.
"""

import os
import socket


def notify_ready() -> None:
    """Send "READY=1" to the datagram socket named by `NOTIFY_SOCKET`.

    Raises:
        OSError: the socket is named but nobody is there.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # A leading @ stands for the zero byte of Linux's abstract namespace.
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(b"READY=1")

"""Notifies the service manager that a long-running verb is ready, as sd_notify(3) does.

Called by verbs that serve. Does nothing unless `NOTIFY_SOCKET` is set.
"""

import os
import socket


def notify_ready() -> None:
    """Send "READY=1" to the datagram socket named by `NOTIFY_SOCKET`.

    Raises:
        OSError: nothing listens on the socket.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # A leading @ stands for the zero byte of Linux's abstract namespace.
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(b"READY=1")

"""Whether a server is there at an OVSDB address, as far as that takes no certificate.

Called by `admin.status` and `admin.membership_changes`, also for members that reject our
certificate.
"""

import socket
import ssl
from contextlib import suppress

from isthmus.icdb.local.hosts import host_of
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import request

LIMIT = 3.0
"""Seconds for a server to respond."""


def listens(address: str, limit: float) -> bool:
    """Whether a connection is accepted.

    Args:
        address: such as "ssl:192.0.2.1:6647".
        limit: seconds.
    """
    with suppress(OSError), _connect(address, limit):
        return True
    return False


def responds(address: str) -> bool:
    """Whether a server sends anything after a connection.

    The kernel accepts connections for a server that hangs, too.

    Args:
        address: such as "ssl:192.0.2.1:6647".
    """
    with suppress(OSError), _connect(address, LIMIT) as connection:
        if address.startswith("ssl:"):
            return _handshake_ends(connection)
        connection.sendall(encode(request("echo")))
        return bool(connection.recv(1))
    return False


def _connect(address: str, limit: float) -> socket.socket:
    port = int(address.rpartition(":")[2])
    return socket.create_connection((host_of(address), port), limit)


def _handshake_ends(connection: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing it sends is used
    with suppress(ssl.SSLError):  # a refusal is a response
        context.wrap_socket(connection).close()
    return True

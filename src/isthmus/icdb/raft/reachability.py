"""Whether somebody is there at an address of OVSDB's, as far as that takes no certificate.

Called by `cluster_status` and `maintenance`, which also have to do with members that do not let
them ask anything.
"""

import socket
import ssl
from contextlib import suppress

from isthmus.icdb.raft.membership import host_of
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import request

LIMIT = 3.0
"""Seconds for a member to say something."""


def listens(address: str, limit: float) -> bool:
    """Whether anybody takes connections.

    Args:
        address: such as "ssl:192.0.2.1:6647".
        limit: seconds.
    """
    with suppress(OSError), _connect(address, limit):
        return True
    return False


def responds(address: str) -> bool:
    """Whether a server says anything to whoever connects.

    The kernel takes connections for one that hangs, too.

    Args:
        address: such as "ssl:192.0.2.1:6647".
    """
    with suppress(OSError), _connect(address, LIMIT) as connection:
        if address.startswith("ssl:"):
            return _shakes_hands(connection)
        connection.sendall(encode(request("echo")))
        return bool(connection.recv(1))
    return False


def _connect(address: str, limit: float) -> socket.socket:
    port = int(address.rpartition(":")[2])
    return socket.create_connection((host_of(address), port), limit)


def _shakes_hands(connection: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is believed that it says
    with suppress(ssl.SSLError):  # to be refused is to be told something
        context.wrap_socket(connection).close()
    return True

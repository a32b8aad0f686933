"""Whether a server is there at an OVSDB address, and which certificate it presents.

Called by `admin.status`, `admin.served_certificate` and `admin.membership_changes`, also for
members that reject our certificate.
"""

import socket
import ssl
from contextlib import suppress

from isthmus.icdb.local.hosts import host_of
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import request
from isthmus.ovsdb.streams.name_resolution import connect

LIMIT = 3.0
"""Seconds for a server to respond."""


def listens(address: str, limit: float) -> bool:
    """Whether "ssl:192.0.2.1:6647", say, accepts a connection within `limit` seconds."""
    with suppress(OSError), _connect(address, limit):
        return True
    return False


def responds(address: str) -> bool:
    """Whether a server sends anything: the kernel accepts connections for one that hangs, too."""
    with suppress(OSError):
        if address.startswith("ssl:"):
            with suppress(ssl.SSLError):  # a refusal is a response
                presented_certificate(address, unverified(), LIMIT)
            return True
        with _connect(address, LIMIT) as connection:
            connection.sendall(encode(request("echo")))
            return bool(connection.recv(1))
    return False


def presented_certificate(address: str, context: ssl.SSLContext, limit: float) -> bytes:
    """The certificate that a server presents, in DER; empty without one.

    Raises:
        OSError: no server answers with TLS within `limit` seconds, or the certificate is rejected.
    """
    with _connect(address, limit) as plain, context.wrap_socket(plain) as wrapped:
        return wrapped.getpeercert(binary_form=True) or b""


def unverified() -> ssl.SSLContext:
    """A context that accepts any certificate, for connections over which nothing is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _connect(address: str, limit: float) -> socket.socket:
    port = int(address.rpartition(":")[2])
    return connect(host_of(address), port, limit)

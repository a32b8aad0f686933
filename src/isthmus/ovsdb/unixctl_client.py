"""Sends commands to control sockets, as `ovs-appctl -t SOCKET COMMAND` does (ovs-appctl(8)).

Called by the verbs that ask a daemon, by `isthmus-health`, and for the servers of the IC databases.
Invariant: imports only the standard library, so that health probes and light verbs start quickly.
"""

import json
import socket
from typing import Any

TIMEOUT = 60.0
"""Seconds to wait for a reply."""


class CommandFailedError(Exception):
    """The daemon refused the command; the text is its reason."""


def ask(path: str, command: str, *arguments: str, timeout: float = TIMEOUT) -> str:
    """Send a command, and return the reply.

    Args:
        path: the control socket.
        command, arguments: see the daemon's `list-commands`.
        timeout: seconds.

    Raises:
        OSError: no daemon listens on the socket, or it does not reply in time.
        CommandFailedError: the daemon refuses the command.
    """
    # JSON-RPC 1.0 (RFC 7047, section 4), one request per connection.
    request = {"id": 0, "method": command, "params": arguments}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(json.dumps(request).encode())
        reply = _receive(connection)
    if reply.get("error") is not None:
        raise CommandFailedError(str(reply["error"]).strip())
    return str(reply.get("result", ""))


def _receive(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while data := connection.recv(65536):
        received += data
        if not received.rstrip().endswith(b"}"):
            continue
        try:
            reply = json.loads(received)
        except ValueError:
            continue  # the reply is not complete yet
        if isinstance(reply, dict):
            return reply
    raise ConnectionError("the daemon closed the connection without a complete reply")

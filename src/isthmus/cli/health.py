"""`isthmus-health live|ready`: asks a running daemon how it is; for the probes of Kubernetes.

Started every few seconds on every node that runs Isthmus, so it imports nothing but a little of the
standard library: a tenth of the CPU time that the other verbs need to start.
"""

import json
import os
import socket
import sys
from typing import Any

from isthmus.cli.options.environment import CONTROL_SOCKET

COMMANDS = {"live": "status", "ready": "ready"}
"""What the daemon is asked: its loop answers the one whenever it turns, the other as
`isthmus.daemon.readiness` has it."""

PATIENCE = 60.0
"""Seconds to wait for an answer: whoever asks has a limit of its own, and a shorter one."""

USAGE = f"usage: isthmus-health live|ready, with the daemon's control socket in {CONTROL_SOCKET}"


def main() -> None:
    """Run the program: exit status 0, it is; 1, it is not, and what is missing; 2, wrong usage."""
    path = os.environ.get(CONTROL_SOCKET, "")
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if command is None or not path:
        sys.exit(_complaint(USAGE, 2))
    try:
        reply = ask(path, command)
    except (OSError, ValueError) as error:
        sys.exit(_complaint(f"{path} does not answer: {error}", 1))
    if reply.get("error") is not None:
        sys.exit(_complaint(str(reply["error"]).strip(), 1))
    sys.stdout.write(f"{str(reply.get('result', '')).strip()}\n")


def ask(path: str, command: str) -> dict[str, Any]:
    """Send a control command (ovs-appctl(8): JSON-RPC on a unix socket); the whole reply.

    Raises:
        OSError: nobody listens there or answers in time.
        ValueError: the answer is no reply.
    """
    request = {"id": 0, "method": command, "params": []}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(json.dumps(request).encode())
        return _reply(connection)


def _reply(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while data := connection.recv(65536):
        received += data
        try:
            found = json.loads(received)
        except ValueError:
            continue  # not all of it is there yet
        if isinstance(found, dict):
            return found
    raise ValueError("it hung up")


def _complaint(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status

"""`isthmus-health live|ready`: asks the running daemon for its health; for Kubernetes probes.

Kubelet starts this program every few seconds on every node that runs Isthmus. It therefore imports
only a little of the standard library, and needs a tenth of the CPU time of the other verbs.
"""

import os
import sys

from isthmus.cli.options.environment import CONTROL_SOCKET
from isthmus.model.text import failure_text, printable, printable_text
from isthmus.ovsdb.unixctl_client import CommandFailedError, ask

COMMANDS = {"live": "status", "ready": "ready"}
"""The control command for each probe. The loop answers `status` whenever it turns; `ready` checks
what `isthmus.daemon.readiness` lists."""

USAGE = f"usage: isthmus-health live|ready, with the daemon's control socket in {CONTROL_SOCKET}"


def main() -> None:
    """Run the program; exit status 0, healthy; 1, unhealthy, with the reason; 2, wrong usage."""
    path = os.environ.get(CONTROL_SOCKET, "")
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if command is None or not path:
        sys.exit(_fail(USAGE, 2))
    try:
        reply = ask(path, command)
    except OSError as error:
        sys.exit(_fail(f"no reply from the daemon on {path}: {failure_text(error)}", 1))
    except CommandFailedError as error:
        sys.exit(_fail(str(error), 1))
    sys.stdout.write(f"{printable_text(reply.strip())}\n")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"{printable(message)}\n")
    return status

"""Send commands to control sockets, as `ovs-appctl -t SOCKET COMMAND` does (ovs-appctl(8)).

Called by the verbs that ask a daemon, by `isthmus-health`, and for the servers of the IC databases.
Invariant: imports only light modules, so that health probes and short commands start quickly.
"""

from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError

TIMEOUT = 60.0
"""Seconds to wait for a reply."""


class CommandFailedError(Exception):
    """The daemon refused the command; the text is its reason."""


def ask(path: str, command: str, *arguments: str, timeout: float = TIMEOUT) -> str:
    """Send a command (see the daemon's `list-commands`) and return the reply.

    Raises:
        OSError: no daemon listens on the socket, or it does not reply in time.
        CommandFailedError: the daemon refuses the command.
    """
    try:
        with JsonRpcClient.over_unix(path, timeout) as client:
            return str(client.call(command, *arguments))
    except RpcError as error:
        raise CommandFailedError(str(error)) from error

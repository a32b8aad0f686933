"""The state of the authorizing proxy: served on its control socket, and read by `ic-db status`.

The proxy calls `open_control_socket`; the command calls `proxy_status`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.authz.audit_log import FILE_NAME, ZoneRefusals, read
from isthmus.model.text import failure_text, quoted
from isthmus.ovsdb.json_stream import encode
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError
from isthmus.ovsdb.jsonrpc_asyncio import read_messages
from isthmus.ovsdb.streams.unix import private_socket

SOCKET = "ovn_ic_guard.ctl"
"""The proxy's control socket, in the run directory (`ovs-appctl -t`)."""


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """The authorizing proxy of this host.

    Args:
        running: whether it answers.
        ready: whether it has the contents of both databases, and passes on what zones write.
        clients: connections, by the name in their certificates.
        quotas: by connected zone and bound: what the zone uses, and its limit.
        refused: by the zone in the certificate, the latest first.
        problems: what prevents zones from reading or writing.
    """

    running: bool
    ready: bool
    clients: Mapping[str, int]
    quotas: Mapping[str, Mapping[str, Sequence[int]]]
    refused: Mapping[str, ZoneRefusals]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The form that `isthmus ic-db status -o json` prints."""
        refused = [
            {"zone": zone, **asdict(one), "at": one.time} for zone, one in self.refused.items()
        ]
        return {**asdict(self), "refused": refused}


def proxy_status(run_dir: Path, remotes: Sequence[str]) -> ProxyStatus | None:
    """Ask the proxy.

    Args:
        run_dir: of the servers and the proxy.
        remotes: what the servers listen on (`ovsdb-server/list-remotes`), of both.

    Returns:
        None if clients connect to the servers directly and no proxy has refused anything before.
    """
    zones = read(run_dir / FILE_NAME)
    refused = dict(sorted(zones.items(), key=lambda item: -item[1].at))
    try:
        with JsonRpcClient.over_unix(run_dir / SOCKET) as client:
            reply = json.loads(client.call("status"))
    except (OSError, RpcError, ValueError) as error:
        direct = any(remote.startswith(("ptcp:", "pssl:")) for remote in remotes)
        needed = bool(remotes) and not direct
        if not needed and not refused:
            return None
        problems = (
            f"the authorizing proxy does not answer, so no zone can connect: {failure_text(error)}",
        )
        return ProxyStatus(False, False, {}, {}, refused, problems if needed else ())
    ready = bool(reply["ready"])
    waiting = ("the authorizing proxy is waiting for a database and passes on no writes",)
    clients, quotas = reply["clients"], reply["quotas"]
    return ProxyStatus(True, ready, clients, quotas, refused, () if ready else waiting)


async def open_control_socket(
    path: Path, status: Callable[[], Mapping[str, Any]], end: Callable[[], object]
) -> asyncio.Server:
    """Serve the control commands `status`, which prints `status()`, and `exit`, which calls `end`.

    Raises:
        OSError: the socket cannot be created.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Also when cancelled: asyncio logs an error when its stream server's task is cancelled.
        with suppress(OSError, ValueError, AttributeError, asyncio.CancelledError):
            async for request in read_messages(reader):
                method = request.get("method")
                reply = {"id": request.get("id"), "result": "", "error": None}
                if method == "status":
                    reply["result"] = json.dumps(status())
                elif method != "exit":
                    error = f"{quoted(str(method))} is not a valid command; use status or exit"
                    reply |= {"result": None, "error": error}
                writer.write(encode(reply))
                await writer.drain()
                if method == "exit":
                    end()
        writer.close()

    return await asyncio.start_unix_server(serve, sock=private_socket(path))

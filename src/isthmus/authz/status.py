"""How the guard fares, and what it has refused: told over its control socket, and shown.

The guard serves `control`; `isthmus ic-db status` calls `guard_status`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.authz.audit_log import RECORD, Refusals, read
from isthmus.authz.wire import encode, messages
from isthmus.ovsdb.jsonrpc import JsonRpcClient, RpcError

SOCKET = "ovn_ic_guard.ctl"
"""The guard's control socket, in the run directory (`ovs-appctl -t`)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a zone was refused.

    Args:
        zone: the name in its certificate.
        count: how often; `tables`, by table.
        operation, table, why: the last time.
        at: when that was, in UTC.
    """

    zone: str
    count: int
    operation: str
    table: str
    why: str
    at: str
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GuardStatus:
    """The guard of this host.

    Args:
        running: whether it answers.
        ready: whether it knows both databases, and passes on what zones write.
        clients: connections, by the name in their certificates.
        refused: by zone, the latest first.
        problems: what keeps zones from working.
    """

    running: bool
    ready: bool
    clients: Mapping[str, int]
    refused: tuple[Refused, ...]
    problems: tuple[str, ...]


def guard_status(run_dir: Path, remotes: Sequence[str]) -> GuardStatus | None:
    """Ask the guard.

    Args:
        run_dir: of the servers and the guard.
        remotes: what the servers listen on (`ovsdb-server/list-remotes`), of both.

    Returns:
        None if clients come to the servers themselves, and no guard has refused anything before.
    """
    refused = tuple(_refused(read(run_dir / RECORD)))
    try:
        with JsonRpcClient.over_unix(run_dir / SOCKET) as client:
            said = json.loads(client.call("status"))
    except (OSError, RpcError, ValueError) as error:
        needed = bool(remotes) and not any(
            remote.startswith(("ptcp:", "pssl:")) for remote in remotes
        )
        if not needed and not refused:
            return None
        problems = (f"the guard does not answer, and zones reach nothing: {error}",)
        return GuardStatus(False, False, {}, refused, problems if needed else ())
    ready = bool(said["ready"])
    waits = ("the guard waits for a database, and passes no writes on",)
    return GuardStatus(True, ready, said["clients"], refused, () if ready else waits)


async def control(
    path: Path, status: Callable[[], Mapping[str, Any]], end: Callable[[], object]
) -> asyncio.Server:
    """Serve the control socket: the commands `status` and `exit` (ovs-appctl(8)).

    Args:
        path: where.
        status: what to answer to the one.
        end: what the other does.

    Raises:
        OSError: it cannot be made.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled, it ends like others: that of a stream server would be shown as a fault.
        with suppress(OSError, ValueError, AttributeError, asyncio.CancelledError):
            async for request in messages(reader, asyncio.Semaphore()):
                method, number = request.get("method"), request.get("id")
                result: str | None = ""
                error = None
                if method == "status":
                    result = json.dumps(status())
                elif method != "exit":
                    result = None
                    error = f"{str(method)!r} is not a valid command; there are status and exit"
                writer.write(encode({"id": number, "result": result, "error": error}))
                await writer.drain()
                if method == "exit":
                    end()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    path.chmod(0o600)
    return server


def _refused(zones: Mapping[str, Refusals]) -> list[Refused]:
    latest = sorted(zones.items(), key=lambda item: -item[1].at)
    return [
        Refused(
            zone=zone,
            at=datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **{key: value for key, value in asdict(one).items() if key != "at"},
        )
        for zone, one in latest
    ]

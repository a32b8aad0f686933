"""Resolves host names without making an event loop wait for a name server.

Called by `tcp` for the connections of sessions, and by `isthmus.icdb` for the other members. A
resolver takes tens of seconds to give up and cannot be cancelled. With asyncio's own means the loop
would wait for it when it ends, and Python would when it exits. So each name is resolved by one
daemon thread at a time, however often it is asked for meanwhile. Nothing is cached.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeAlias

from isthmus.model.text import failure_text

Addresses: TypeAlias = tuple[str, ...]
"""In the order in which to try them."""

UNANSWERED = "cannot be resolved: no name server gives an answer"
"""Continues the sentence "the name NAME …"."""

_FAILURES = {
    socket.EAI_NONAME: "does not exist",
    socket.EAI_NODATA: "has no address",
    socket.EAI_AGAIN: UNANSWERED,
}

_lock = threading.Lock()
_pending: "dict[str, Future[Addresses]]" = {}


async def addresses_of(host: str) -> Addresses:
    """The addresses of a host (an address or a name).

    Raises:
        OSError: see `resolution`.
    """
    return await asyncio.wrap_future(resolution(host))


def connect(host: str, port: int, limit: float) -> socket.socket:
    """Connect to the first address of a host that accepts it; `limit` seconds for each step.

    Raises:
        OSError: no address accepted the connection, or see `resolution`.
    """
    *others, last = resolution(host).result(limit)
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, port), limit)
    return socket.create_connection((last, port), limit)


def resolution(host: str) -> "Future[Addresses]":
    """The addresses of a host (an address or a name), resolved in the background.

    Its error is a `socket.gaierror`; its `strerror` continues the sentence "the name NAME …".
    """
    with suppress(ValueError):
        known: Future[Addresses] = Future()
        known.set_result((str(ip_address(host)),))
        return known
    with _lock:
        if host not in _pending:
            found: Future[Addresses] = Future()
            _pending[host] = found
            # One caller that stops waiting must not cancel it for the others.
            found.set_running_or_notify_cancel()
            threading.Thread(
                target=_resolve, args=(host, found), daemon=True, name=f"resolve {host}"
            ).start()
        return _pending[host]


def _resolve(host: str, found: "Future[Addresses]") -> None:
    try:
        addresses = _look_up(host)
    except OSError as error:
        _done(host)
        found.set_exception(error)
    else:
        _done(host)
        found.set_result(addresses)


def _look_up(host: str) -> Addresses:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a name that DNS cannot have
        raise socket.gaierror(socket.EAI_NONAME, "is not a valid host name") from error
    except socket.gaierror as error:
        if host.endswith(".") and error.errno == socket.EAI_NONAME:
            return _look_up(host[:-1])  # /etc/hosts has names without the final dot
        code, unknown = error.errno or 0, f"cannot be resolved: {failure_text(error)}"
        raise socket.gaierror(code, _FAILURES.get(code, unknown)) from error
    return tuple(dict.fromkeys(str(info[4][0]) for info in infos))


def _done(host: str) -> None:
    with _lock:
        del _pending[host]

"""Resolves host names for an event loop that must not wait for a name server.

Called by `peer_probe`. A resolver takes tens of seconds to give up and cannot be cancelled. With
asyncio's own means the loop would wait for it when it ends, and Python would when it exits. So each
name is resolved by one daemon thread at a time, however often it is asked for meanwhile.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address

_Addresses = tuple[str, ...]

_lock = threading.Lock()
_pending: "dict[str, Future[_Addresses]]" = {}


async def addresses_of(host: str) -> _Addresses:
    """The addresses of a host (an address or a name), in the order in which to try them.

    Raises:
        OSError: the name cannot be resolved (`socket.gaierror`).
    """
    with suppress(ValueError):
        return (str(ip_address(host)),)
    return await asyncio.wrap_future(_resolution(host))


def _resolution(host: str) -> "Future[_Addresses]":
    with _lock:
        if host not in _pending:
            found: Future[_Addresses] = Future()
            _pending[host] = found
            # One caller that stops waiting must not cancel it for the others.
            found.set_running_or_notify_cancel()
            threading.Thread(
                target=_resolve, args=(host, found), daemon=True, name=f"resolve {host}"
            ).start()
        return _pending[host]


def _resolve(host: str, found: "Future[_Addresses]") -> None:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
    except (OSError, UnicodeError) as error:  # A name that DNS cannot have fails to be encoded.
        _done(host)
        found.set_exception(error if isinstance(error, OSError) else OSError(str(error)))
    else:
        _done(host)
        found.set_result(addresses)


def _done(host: str) -> None:
    with _lock:
        del _pending[host]

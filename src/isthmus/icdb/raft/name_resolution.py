"""Host names to addresses, for an event loop that must not wait for a name server.

Called by `peers`. Resolvers take tens of seconds to give up, and cannot be cancelled: asyncio's own
way has the loop wait for them at its end, and Python wait for them at its own. Each name is looked
up by one thread at a time, however often it is asked for meanwhile.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address

_Addresses = tuple[str, ...]

_lock = threading.Lock()
_looking_up: "dict[str, Future[_Addresses]]" = {}


async def addresses_of(host: str) -> _Addresses:
    """The addresses that a host stands for, in the order in which they are to be tried.

    Args:
        host: an IP address, which stands for itself, or a name.

    Raises:
        OSError: the name stands for nothing (`socket.gaierror`).
    """
    with suppress(ValueError):
        return (str(ip_address(host)),)
    return await asyncio.wrap_future(_look_up(host))


def _look_up(host: str) -> "Future[_Addresses]":
    with _lock:
        if host not in _looking_up:
            found: Future[_Addresses] = Future()
            _looking_up[host] = found
            # From now on nobody who stops waiting can cancel it for others.
            found.set_running_or_notify_cancel()
            threading.Thread(
                target=_resolve, args=(host, found), daemon=True, name=f"resolve {host}"
            ).start()
        return _looking_up[host]


def _resolve(host: str, found: "Future[_Addresses]") -> None:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
    except (OSError, UnicodeError) as error:  # A name that is none of DNS fails to be encoded.
        _done(host)
        found.set_exception(error if isinstance(error, OSError) else OSError(str(error)))
    else:
        _done(host)
        found.set_result(addresses)


def _done(host: str) -> None:
    with _lock:
        del _looking_up[host]

"""Calls of the Kubernetes API over urllib3.

Used by watchers and the publisher, from their threads, and by the lab. Objects are plain
dictionaries, which are validated by the code that interprets them. Invariant: every failure is an
`ApiError` whose text is the same each time.
"""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

import urllib3

from isthmus.kube.credentials import Access, CredentialsError, KubeCredentials
from isthmus.kube.errors import (
    MALFORMED,
    SILENT,
    TLS,
    UNREACHABLE,
    ApiError,
    Failure,
    failure_of,
)
from isthmus.model.bounds import KUBE_ANSWER, KUBE_DEPTH, KUBE_EVENT, BoundExceededError
from isthmus.model.text import failure_text
from isthmus.ovsdb.json_stream import MessageScanner

CONNECT = 5.0
"""Seconds until a connection, TLS included, must be up."""

ANSWER = 15.0
"""Seconds within which a call must be answered unless the caller says otherwise."""

_CONNECTIONS = 8
"""Idle connections that are kept: one for each resource that is watched, and some for calls."""

_RETRY = 10.0
"""Seconds until credentials that cannot be loaded are loaded again."""

_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A server that vanishes silently is noticed after half a minute, on idle watches too.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
]

_PIECE = 1 << 18
"""Bytes that are read at once, at most."""

_BROKEN = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLError)


class WatchStream:
    """A watch that the server has accepted: iterate over its events.

    Args:
        response: with the events still to be read.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self.opened = time.monotonic()

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Type and object of each event, as they come; ends when the server ends the watch.

        Raises:
            ApiError: the connection broke, was silent for too long, or an ERROR event came.
        """
        rest = b""
        with _as_api_error():
            while chunk := self._response.read1(_PIECE):
                *lines, rest = (rest + chunk).split(b"\n")
                KUBE_EVENT.check(len(rest))
                for line in filter(None, lines):
                    yield _event(line)
            if rest:
                yield _event(rest)

    def close(self) -> None:
        """Wake the reader; from any thread."""
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            # The connection is gone already: the reader has noticed, or is about to.
            return

    def release(self) -> None:
        """Close the connection; by the reader itself."""
        self._response.close()


class Client:
    """The API server.

    Args:
        credentials: where it is and how to log in.

    Attributes:
        server: its URL.

    Raises:
        CredentialsError: they are missing or invalid.
    """

    def __init__(self, credentials: KubeCredentials) -> None:
        # The log of urllib3 for each request is noise compared with our own transactions.
        logging.getLogger("urllib3").setLevel(logging.INFO)
        self._credentials = credentials
        self._lock = threading.Lock()
        self._access = credentials.load()
        self._pool = _pool(self._access)
        self._expires = self._access.expires
        self.server: str = self._access.server

    def call(  # noqa: PLR0913 - what makes up a request
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = "application/json",
        answer: float = ANSWER,
    ) -> dict[str, Any]:
        """Make a request and wait for its answer.

        Args:
            method: e.g. "GET", "PATCH".
            path: e.g. "/api/v1/nodes".
            query: parameters.
            body: what to send.
            content: its media type, which says what kind of patch a patch is.
            answer: seconds within which the answer must begin.

        Returns:
            The object that the server answered with.

        Raises:
            ApiError: anything went wrong.
        """
        with _as_api_error():
            return _object(_body(self._send(method, path, query or {}, body, content, answer)))

    def is_ready(self) -> bool:
        """Whether the server reports that it is ready."""
        try:
            with _as_api_error():
                return _body(self._send("GET", "/readyz", {}, None, "", ANSWER)) == b"ok"
        except ApiError:
            return False

    def watch(self, path: str, query: Mapping[str, str], silence: float) -> WatchStream:
        """Open a watch.

        Args:
            path: e.g. "/api/v1/nodes".
            query: parameters, those of the watch included.
            silence: seconds without any event after which the watch counts as broken.

        Raises:
            ApiError: it was not accepted.
        """
        with _as_api_error():
            return WatchStream(self._send("GET", path, query, None, "", silence))

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def _send(  # noqa: PLR0913, PLR0917 - private
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content: str,
        answer: float,
    ) -> urllib3.BaseHTTPResponse:
        """The response, with its body still to be read."""
        if time.monotonic() >= self._expires:
            self._renew(self._access)
        access, pool = self._access, self._pool
        headers = {
            "Accept": "application/json",
            "User-Agent": f"isthmus/{version('isthmus')}",
            **({} if body is None else {"Content-Type": content}),
            **access.headers,
        }
        try:
            response = pool.request(
                method,
                f"{access.server}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT, read=answer),
                retries=False,  # the caller knows better when to try again
                redirect=False,
                preload_content=False,
                decode_content=False,  # a small answer could unpack to a huge one
            )
        except Exception as error:
            if _failure(error).reason == TLS:
                self._renew(access)
            raise
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._renew(access)
        raise ApiError(_refusal(response))

    def _renew(self, used: Access) -> None:
        """Load the credentials again: tokens and certificates are replaced while we run."""
        with self._lock:
            if self._access is not used:
                return
            try:
                access = self._credentials.load()
            except CredentialsError:
                # The files may be incomplete: keep the old credentials until a later attempt.
                self._expires = time.monotonic() + _RETRY
                return
            self._pool.clear()
            self._access, self._pool, self._expires = access, _pool(access), access.expires


def _pool(access: Access) -> urllib3.PoolManager:
    """The connections to an API server."""
    options: dict[str, Any] = {
        "maxsize": _CONNECTIONS,
        "ssl_context": access.tls,
        "socket_options": _SOCKET_OPTIONS,
    }
    if access.server_name:
        options["server_hostname"] = access.server_name
    if not access.proxy:
        return urllib3.PoolManager(**options)
    credentials = urllib3.util.parse_url(access.proxy).auth
    headers = urllib3.util.make_headers(proxy_basic_auth=credentials) if credentials else None
    return urllib3.ProxyManager(access.proxy, proxy_headers=headers, **options)


@contextmanager
def _as_api_error() -> Iterator[None]:
    """Turn what the transport raises into an `ApiError`."""
    try:
        yield
    except ApiError:
        raise
    except BoundExceededError as error:
        raise ApiError(Failure(0, MALFORMED, f"the answer has {error}")) from error
    except Exception as error:
        raise ApiError(_failure(error)) from error


def _failure(error: BaseException) -> Failure:
    """The failure behind an exception of the transport; the cause counts, not what wraps it."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, ApiError):
            return cause.failure
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(0, TLS, cause.verify_message)
        # A connection that is cut in the handshake says nothing about certificates.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return Failure(0, TLS, (cause.reason or "the handshake failed").replace("_", " "))
    if any("timed out" in str(cause) for cause in chain):
        return Failure(0, SILENT, "the server does not answer")
    for cause in chain:
        # However an established connection ends, the problem is the same.
        if isinstance(cause, OSError) and not isinstance(cause, _BROKEN) and cause.strerror:
            unresolved = isinstance(cause, socket.gaierror)
            text = "its host name cannot be resolved" if unresolved else failure_text(cause).lower()
            return Failure(0, UNREACHABLE, text)
    return Failure(0, UNREACHABLE, "the connection broke")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what it wraps, and what those wrap."""
    pending, seen = [error], set[int]()
    while pending:
        found = pending.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        wrapped = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        pending += [item for item in wrapped if isinstance(item, BaseException)]


def _refusal(response: urllib3.BaseHTTPResponse) -> Failure:
    """The failure that a response describes."""
    wait = response.headers.get("Retry-After", "")
    try:
        status = _object(_body(response))
    except ApiError:
        status = {}  # a proxy's page
    return failure_of(
        status,
        response.status,
        float(wait[:9]) if wait.isdecimal() else 0.0,
    )


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    """The whole body, within the bound."""
    pieces, size = [], 0
    with response:
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            KUBE_ANSWER.check(size)
    return b"".join(pieces)


def _object(data: bytes) -> dict[str, Any]:
    scanner = MessageScanner(KUBE_DEPTH.most)
    try:
        text = data.decode()
        scanner.feed(text)
        KUBE_DEPTH.check(scanner.deepest)
        found = json.loads(text)
    except BoundExceededError:
        raise
    except (ValueError, RecursionError) as error:
        raise ApiError(Failure(0, MALFORMED, "the answer is not JSON")) from error
    if not isinstance(found, dict):
        raise ApiError(Failure(0, MALFORMED, "the answer is not an object"))
    return found


def _event(line: bytes) -> tuple[str, Mapping[str, Any]]:
    event = _object(line)
    kind, body = event.get("type"), event.get("object")
    if not isinstance(kind, str) or not isinstance(body, dict):
        raise ApiError(Failure(0, MALFORMED, "the watch returned an invalid event"))
    if kind == "ERROR":
        raise ApiError(failure_of(body))
    return kind, body

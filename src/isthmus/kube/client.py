"""Calls of the Kubernetes API, on the official client's transport and credentials.

Used by reflectors and the publisher, from their threads. Objects are plain dictionaries: what is
read is checked where it is understood, with messages for people, and the package's own models
would cost time and memory for each of 5,000 nodes. Invariant: whatever goes wrong is an `ApiError`
with a text that is the same each time.
"""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from isthmus.kube.credentials import Credentials, CredentialsError
from isthmus.kube.errors import (
    MALFORMED,
    SILENT,
    TLS,
    UNREACHABLE,
    ApiError,
    Failure,
    failure_of,
)

CONNECT = 5.0
"""Seconds until a connection, TLS included, must be up."""

ANSWER = 15.0
"""Seconds within which a call must be answered unless the caller says otherwise."""

_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A server that is gone without a word is noticed after half a minute, on idle watches too.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
]

_BROKEN = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLError)


class Stream:
    """A watch that the server has accepted: iterate over its events.

    Args:
        response: urllib3's.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        self.opened = time.monotonic()

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Type and object of each event, as they come; ends when the server ends the watch.

        Raises:
            ApiError: the connection broke, said nothing for too long, or told an ERROR.
        """
        rest = b""
        with _Told():
            for chunk in self._response.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    yield _event(line)

    def close(self) -> None:
        """Wake whoever is reading, from any thread."""
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            # Not connected any more: the reader has noticed, or is about to.
            return

    def release(self) -> None:
        """Give the connection up; by the reader itself."""
        self._response.close()


class Client:
    """The API server.

    Args:
        credentials: where and who.

    Attributes:
        server: its URL.

    Raises:
        CredentialsError: they cannot be used.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._api = self._connection()
        self.server: str = self._api.configuration.host

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
        with _Told():
            response = self._send(method, path, query or {}, body, content, answer)
            data = response.data
        return _object(data)

    def watch(self, path: str, query: Mapping[str, str], silence: float) -> Stream:
        """Open a watch.

        Args:
            path: e.g. "/api/v1/nodes".
            query: parameters, those of the watch included.
            silence: seconds after which a watch that says nothing counts as broken.

        Raises:
            ApiError: it was not accepted.
        """
        with _Told():
            return Stream(self._send("GET", path, query, None, "", silence))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._api.close()

    def _send(  # noqa: PLR0913, PLR0917 - private, called twice
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content: str,
        answer: float,
    ) -> Any:
        """The response, with its body still to be read."""
        api = self._api
        headers = {"Accept": "application/json", **({"Content-Type": content} if body else {})}
        try:
            request = api.param_serialize(
                method, path, query_params=[*query.items()], header_params=headers, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            response = api.call_api(*request, _request_timeout=(CONNECT, answer)).response
        except Exception as error:
            if _failure(error).reason == TLS:
                self._renew(api)
            raise
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._renew(api)
        raise ApiError(_refusal(response))

    def _renew(self, used: Any) -> None:
        """Read the credentials again: tokens and certificates are replaced while we run."""
        with self._lock:
            if self._api is not used:
                return
            try:
                self._api = self._connection()
            except CredentialsError:
                # Perhaps half-written; what there was is tried again, and then this.
                return

    def _connection(self) -> Any:
        from kubernetes.client import ApiClient  # noqa: PLC0415 - see Credentials.load

        # What it says of each request is of no use to whoever wants to see transactions.
        logging.getLogger("urllib3").setLevel(logging.INFO)
        configuration = self._credentials.load()
        configuration.retries = False  # who calls knows better when to try again
        configuration.socket_options = _SOCKET_OPTIONS
        api = ApiClient(configuration)
        api.user_agent = f"isthmus/{version('isthmus')}"
        return api


class _Told:
    """Turns whatever the transport raises into an `ApiError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, ApiError):
            raise ApiError(_failure(error)) from error


def _failure(error: BaseException) -> Failure:
    """What the transport's exceptions come to; the cause counts, not what wraps it."""
    chain = list(_causes(error))
    told = next((cause.failure for cause in chain if isinstance(cause, ApiError)), None)
    return told or _distrust(chain) or _unreachable(chain)


def _distrust(chain: Sequence[BaseException]) -> Failure | None:
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(0, TLS, cause.verify_message)
        # A connection that is cut in the handshake says nothing about certificates.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return Failure(0, TLS, (cause.reason or "the handshake failed").replace("_", " "))
    return None


def _unreachable(chain: Sequence[BaseException]) -> Failure:
    if any("timed out" in str(cause) for cause in chain):
        return Failure(0, SILENT, "it does not answer")
    for cause in chain:
        if isinstance(cause, socket.gaierror):
            return Failure(0, UNREACHABLE, "its name is not known")
        # However a connection ends that was there already, it is the same to people.
        if isinstance(cause, OSError) and not isinstance(cause, _BROKEN) and cause.strerror:
            return Failure(0, UNREACHABLE, cause.strerror.lower())
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


def _refusal(response: Any) -> Failure:
    """The failure that a response tells of."""
    asked = response.headers.get("Retry-After", "")
    try:
        status = json.loads(response.data)
    except ValueError:
        status = None  # a proxy's page
    return failure_of(
        status if isinstance(status, dict) else {},
        response.status,
        float(asked) if asked.isdecimal() else 0.0,
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ApiError(Failure(0, MALFORMED, "its answer is no JSON")) from error
    if not isinstance(found, dict):
        raise ApiError(Failure(0, MALFORMED, "its answer is no object"))
    return found


def _event(line: bytes) -> tuple[str, Mapping[str, Any]]:
    event = _object(line)
    kind, body = event.get("type"), event.get("object")
    if not isinstance(kind, str) or not isinstance(body, dict):
        raise ApiError(Failure(0, MALFORMED, "it sends something that is no event"))
    if kind == "ERROR":
        raise ApiError(failure_of(body))
    return kind, body

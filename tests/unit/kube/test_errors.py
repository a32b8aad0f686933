"""Which failures exceptions and answers become, and which problems those become."""

import errno
import socket
import ssl
from typing import Any

import pytest
import urllib3

from isthmus.kube.client import _failure
from isthmus.kube.errors import (
    MALFORMED,
    SILENT,
    TLS,
    UNREACHABLE,
    ApiError,
    Failure,
    failure_of,
    problem_of,
)

BROKE = "the connection broke"


def wrapped(cause: Exception) -> Exception:
    """An exception as urllib3 and other libraries wrap it."""
    try:
        try:
            raise urllib3.exceptions.ProtocolError("Connection aborted.", cause)
        except urllib3.exceptions.ProtocolError as error:
            raise RuntimeError("ProtocolError\n...") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "reason", "message"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            UNREACHABLE,
            "connection refused",
        ),
        (
            socket.gaierror(-2, "Name or service not known"),
            UNREACHABLE,
            "its host name cannot be resolved",
        ),
        (TimeoutError("timed out"), SILENT, "the server does not answer"),
        (TimeoutError("The read operation timed out"), SILENT, "the server does not answer"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), UNREACHABLE, BROKE),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), UNREACHABLE, BROKE),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), UNREACHABLE, BROKE),
        (ValueError("?"), UNREACHABLE, BROKE),
    ],
)
def test_the_cause_counts(cause: Exception, reason: str, message: str) -> None:
    """The failure is the same however its cause is wrapped, with the same text each time."""
    assert _failure(wrapped(cause)) == Failure(0, reason, message)


def test_a_certificate_is_named() -> None:
    """A certificate that is not trusted is reported with OpenSSL's explanation."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    assert _failure(wrapped(error)) == Failure(0, TLS, "certificate has expired")


def test_a_failure_that_is_known_is_kept() -> None:
    """A failure that the server has described is passed on unchanged."""
    failure = Failure(403, "Forbidden", "no")
    assert _failure(ApiError(failure)) is failure


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ({}, 502, Failure(502, "Bad Gateway", "Bad Gateway")),
        ({}, 599, Failure(599, "HTTP status 599", "HTTP status 599")),
        (
            {"code": 410, "reason": "Expired", "message": "too old resource version"},
            0,
            Failure(410, "Expired", "too old resource version"),
        ),
        (
            {"message": "m", "reason": "TooManyRequests", "details": {"retryAfterSeconds": 3}},
            429,
            Failure(429, "TooManyRequests", "m", 3.0),
        ),
        ({"reason": 7, "details": []}, 0, Failure(500, "7", "Internal Server Error")),
    ],
)
def test_a_status_may_lack_anything(status: dict[str, Any], code: int, expected: Failure) -> None:
    """Fields that proxies and webhooks leave out are filled from the HTTP status."""
    assert failure_of(status, code) == expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(0, MALFORMED, "the answer is not JSON"), "an invalid response: the answer"),
        (Failure(0, TLS, "self-signed certificate"), "the TLS handshake failed: self-signed"),
        (Failure(503, "ServiceUnavailable", "later"), "nodes: returned 503 ServiceUnavailable"),
        (Failure(404, "NotFound", "x"), "nodes: is not served by the API server; install"),
        (Failure(401, "Unauthorized", "x"), "rejected the credentials; check the kube"),
    ],
)
def test_problems_name_the_cause(failure: Failure, expected: str) -> None:
    """Each problem has the server, the cause and a remedy."""
    text = str(problem_of(failure, "https://192.0.2.1:6443", "nodes"))
    assert text.startswith("Kubernetes API https://192.0.2.1:6443: ")
    assert expected in text

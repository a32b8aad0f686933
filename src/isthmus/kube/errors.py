"""Failures of calls of the Kubernetes API, and the problems that they become.

Made by the client, handled by watchers and the publisher. Invariant: the same cause has the same
text at every attempt, so that a lasting problem is one problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

UNREACHABLE, SILENT, TLS, MALFORMED = "Unreachable", "Timeout", "TLS", "Malformed"
"""Reasons of failures without a readable answer."""

CREDENTIALS = "check the kubeconfig or, in a pod, its ServiceAccount"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed.

    Args:
        status: the HTTP status; 0 without a readable answer.
        reason: Kubernetes' reason (e.g. "Forbidden"), or one of those above.
        message: the server's words, or what happened to the connection.
        retry_after: seconds that the server asks to wait; 0 if it does not ask.
    """

    status: int
    reason: str
    message: str
    retry_after: float = 0.0

    @property
    def expired(self) -> bool:
        """Whether the server no longer has (or does not have yet) the resource version or page."""
        too_large = "resource version" in self.message and "large" in self.message.lower()
        return self.status == HTTPStatus.GONE or too_large

    @property
    def lasting(self) -> bool:
        """Whether someone has to fix it, so that it is reported at once."""
        refused = 400 <= self.status < 500 and self.status != HTTPStatus.TOO_MANY_REQUESTS
        return (refused and not self.expired) or self.reason in {TLS, MALFORMED}


class ApiError(Exception):
    """A call of the API failed; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.failure = failure


def failure_of(status: Mapping[str, Any], code: int = 0, retry_after: float = 0.0) -> Failure:
    """The failure that a `Status` object describes.

    Args:
        status: the object; any field may be missing.
        code: the HTTP status of the response; 0 to use the code in the object.
        retry_after: seconds, from the header Retry-After.
    """
    details = status.get("details")
    asked = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    own = status.get("code")
    found = code or (own if isinstance(own, int) else HTTPStatus.INTERNAL_SERVER_ERROR)
    return Failure(
        found,
        str(status.get("reason") or _phrase(found)),
        str(status.get("message") or _phrase(found)),
        max(retry_after, float(asked) if isinstance(asked, int) else 0.0),
    )


def problem_of(failure: Failure, server: str, what: str) -> Problem:
    """The problem that a failure is reported as.

    Args:
        failure: the failure.
        server: the API server's URL.
        what: what was asked for, e.g. "subnets.kubeovn.io".
    """
    api = f"Kubernetes API {server}"
    match failure.status:
        case HTTPStatus.UNAUTHORIZED:
            return Subject(api).problem(
                "rejected the credentials", CREDENTIALS, Reason.UNAUTHORIZED
            )
        case HTTPStatus.FORBIDDEN:
            message = f"access denied: {failure.message}"
            return Subject(api, what).problem(
                message, "apply the roles in deploy/kubernetes", Reason.FORBIDDEN
            )
        case HTTPStatus.NOT_FOUND:
            message = "is not served by the API server"
            return Subject(api, what).problem(message, "install Kube-OVN's CRDs", Reason.NOT_FOUND)
        case 0:
            return _unanswered(failure, api)
    message = f"returned {failure.status} {failure.reason}: {failure.message}"
    return Subject(api, what).problem(message, "check the API server's log", Reason.API_ERROR)


def _unanswered(failure: Failure, api: str) -> Problem:
    match failure.reason:
        case str(reason) if reason == TLS:
            message = f"the TLS handshake failed: {failure.message}"
            return Subject(api).problem(message, CREDENTIALS, Reason.TLS)
        case str(reason) if reason == MALFORMED:
            message = f"returned an invalid response: {failure.message}"
            return Subject(api).problem(message, "check the server's URL", Reason.MALFORMED)
    message = f"cannot be reached: {failure.message}"
    remedy = (
        "check that it runs and that its address is correct; the last known objects stay in force"
    )
    return Subject(api).problem(message, remedy, Reason.UNREACHABLE)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return f"HTTP status {code}"

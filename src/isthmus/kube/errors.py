"""What can go wrong with a call of the Kubernetes API, and how people are told.

Made by the client, judged by reflectors and the publisher. Invariant: the same cause has the same
text at every attempt, so that a problem that lasts is one problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

UNREACHABLE, SILENT, TLS, MALFORMED = "Unreachable", "Timeout", "TLS", "Malformed"
"""Reasons of failures in which no answer came that could be read."""

CREDENTIALS = "check the kubeconfig or, in a pod, its ServiceAccount"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed.

    Args:
        status: the HTTP status; 0 if no answer came that could be read.
        reason: Kubernetes' reason (e.g. "Forbidden"), or one of those above.
        message: what the server says, or what became of the connection.
        retry_after: seconds that the server asks to wait; 0 if it does not.
    """

    status: int
    reason: str
    message: str
    retry_after: float = 0.0

    @property
    def expired(self) -> bool:
        """Whether the resource version or the page is no longer (or not yet) known."""
        too_large = "resource version" in self.message and "large" in self.message.lower()
        return self.status == HTTPStatus.GONE or too_large

    @property
    def lasting(self) -> bool:
        """Whether people must mend it, so that waiting a moment before saying so is no use."""
        refused = 400 <= self.status < 500 and self.status != HTTPStatus.TOO_MANY_REQUESTS
        return (refused and not self.expired) or self.reason in {TLS, MALFORMED}


class ApiError(Exception):
    """A call of the API failed; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.failure = failure


def failure_of(status: Mapping[str, Any], code: int = 0, retry_after: float = 0.0) -> Failure:
    """The failure that a `Status` object tells of.

    Args:
        status: the object; anything may be missing from it.
        code: the HTTP status it came with; 0 to take the object's own.
        retry_after: seconds, from the header of that name.
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
    """What people are told of a failure.

    Args:
        failure: the failure.
        server: the API server's URL.
        what: what was asked for, e.g. "subnets.kubeovn.io".
    """
    api = f"Kubernetes API {server}"
    match failure.status:
        case HTTPStatus.UNAUTHORIZED:
            return Subject(api).problem(
                "does not accept our credentials", CREDENTIALS, Reason.UNAUTHORIZED
            )
        case HTTPStatus.FORBIDDEN:
            message = f"is forbidden: {failure.message}"
            return Subject(api, what).problem(
                message, "apply the roles of deploy/kubernetes", Reason.FORBIDDEN
            )
        case HTTPStatus.NOT_FOUND:
            message = "is not known to the API server"
            return Subject(api, what).problem(message, "install Kube-OVN's CRDs", Reason.NOT_FOUND)
        case 0:
            return _unanswered(failure, api)
    message = f"answers {failure.status} {failure.reason}: {failure.message}"
    return Subject(api, what).problem(message, "look at the API server's log", Reason.API_ERROR)


def _unanswered(failure: Failure, api: str) -> Problem:
    match failure.reason:
        case str(reason) if reason == TLS:
            message = f"cannot be trusted, or does not trust us: {failure.message}"
            return Subject(api).problem(message, CREDENTIALS, Reason.TLS)
        case str(reason) if reason == MALFORMED:
            message = f"does not speak as one: {failure.message}"
            return Subject(api).problem(message, "check the server's URL", Reason.MALFORMED)
    message = f"cannot be reached: {failure.message}"
    remedy = "check that it runs and that its address is right; what is known stays in force"
    return Subject(api).problem(message, remedy, Reason.UNREACHABLE)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return f"HTTP status {code}"

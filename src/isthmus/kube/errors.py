"""Failures of calls of the Kubernetes API, and the problems that they become.

Made by the client, handled by watchers and the publisher. Invariant: the same cause has the same
text at every attempt, so that a lasting problem is one problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from isthmus.model.bounds import KUBE_MESSAGE, KUBE_WAIT
from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason

UNREACHABLE, SILENT, TLS, MALFORMED = "Unreachable", "Timeout", "TLS", "Malformed"
"""Reasons of failures without a readable answer."""

_CREDENTIALS = "check the kubeconfig or, in a pod, its ServiceAccount"
_ADDRESS = (
    "check that it runs and that its address is correct; the last known objects stay in force"
)
_UNANSWERED = ("cannot be reached: {message}", _ADDRESS, Reason.UNREACHABLE)

_PROBLEMS: Mapping[int | str, tuple[str, str, Reason]] = {
    HTTPStatus.UNAUTHORIZED: ("rejected the credentials", _CREDENTIALS, Reason.UNAUTHORIZED),
    HTTPStatus.FORBIDDEN: (
        "access denied: {message}", "apply the roles in deploy/kubernetes", Reason.FORBIDDEN
    ),
    HTTPStatus.NOT_FOUND: (
        "is not served by the API server", "install Kube-OVN's CRDs", Reason.NOT_FOUND
    ),
    TLS: ("the TLS handshake failed: {message}", _CREDENTIALS, Reason.TLS),
    MALFORMED: (
        "returned an invalid response: {message}", "check the server's URL", Reason.MALFORMED
    ),
    UNREACHABLE: _UNANSWERED,
    SILENT: _UNANSWERED,
}  # fmt: skip
"""Message, remedy and reason of a problem, by HTTP status or, without one, the failure's reason."""

_OTHER = (
    "returned {status} {reason}: {message}", "check the API server's log", Reason.API_ERROR
)  # fmt: skip

_OF_THE_SERVER = {Reason.UNAUTHORIZED, Reason.TLS, Reason.MALFORMED, Reason.UNREACHABLE}
"""Reasons of problems that do not depend on what was asked for."""


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
        str(status.get("reason") or _phrase(found))[: KUBE_MESSAGE.most],
        str(status.get("message") or _phrase(found))[: KUBE_MESSAGE.most],
        min(max(retry_after, asked if isinstance(asked, int) else 0), KUBE_WAIT.most),
    )


def problem_of(failure: Failure, server: str, what: str) -> Problem:
    """The problem that a failure is reported as.

    Args:
        failure: the failure.
        server: the API server's URL.
        what: what was asked for, e.g. "subnets.kubeovn.io".
    """
    template, remedy, reason = _PROBLEMS.get(failure.status or failure.reason, _OTHER)
    message = template.format(status=failure.status, reason=failure.reason, message=failure.message)
    whole = reason in _OF_THE_SERVER
    return Subject(f"Kubernetes API {server}", "" if whole else what).problem(
        message, remedy, reason
    )


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return f"HTTP status {code}"

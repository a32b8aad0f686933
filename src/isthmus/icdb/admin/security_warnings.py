"""What is not a fault of the IC databases, but not safe, or not for long. Pure.

Called by `status`.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

from isthmus.icdb.local.hosts import is_loopback, unbracketed
from isthmus.pki.certificate_info import SOON


def clear_text(remotes: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each remote, active or passive, in clear text beyond this machine."""
    found = []
    for remote in remotes:
        method, _, rest = remote.partition(":")
        if method == "ptcp":
            who, host = "clients", rest.partition(":")[2] or "0.0.0.0"  # noqa: S104 - the default
        elif method == "tcp":
            who, host = "members", rest.rpartition(":")[0]
        else:
            continue
        if not is_loopback(unbracketed(host)):
            found.append(f"{who} connect in clear text, without certificates: {remote}")
    return tuple(found)


def expiring_soon(address: str, expires: str, now: datetime) -> tuple[str, ...]:
    """A sentence if a member's certificate, of which OpenSSL reports this end, expires soon."""
    if not expires:
        return ()
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC)
    if not now < end < now + SOON:
        return ()
    return (f"the certificate of member {address} expires on {expires}; renew it before that",)

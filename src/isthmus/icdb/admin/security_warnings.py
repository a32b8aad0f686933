"""What is no fault of the IC databases, but not safe, or not for long: sentences for people. Pure.

Called by `cluster_status`.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

from isthmus.icdb.server.plan import is_loopback
from isthmus.pki.certificate_info import SOON


def clear_text(remotes: Sequence[str]) -> tuple[str, ...]:
    """Of a server's remotes, active or passive, those in clear text beyond this machine."""
    found = []
    for remote in remotes:
        method, _, rest = remote.partition(":")
        if method == "ptcp":
            who, host = "clients", rest.partition(":")[2] or "0.0.0.0"  # noqa: S104 - what ovsdb-server takes
        elif method == "tcp":
            who, host = "members", rest.rpartition(":")[0]
        else:
            continue
        if not is_loopback(host.strip("[]")):
            found.append(f"{who} connect in clear text, without certificates: {remote}")
    return tuple(found)


def ending(address: str, expires: str, now: datetime) -> tuple[str, ...]:
    """Whether a member's certificate ends soon.

    Args:
        address: the member.
        expires: the end of its certificate, as OpenSSL writes it; may be empty.
        now: with a time zone.
    """
    if not expires:
        return ()
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC)
    if not now < end < now + SOON:
        return ()
    return (f"the certificate of member {address} ends on {expires}; renew it in time",)

"""The certificate that a server shows, and what a client would have against it.

Called by `cluster_status`. OVS's own programs say no more than that a connection failed.
"""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from isthmus.icdb.local.ovsdb_tools import Credentials
from isthmus.ovsdb.tls import Tls
from isthmus.pki.certificate_info import Look, looks
from isthmus.pki.certificates import UnusableError

_OPENSSL_DATE = "%b %d %H:%M:%S %Y GMT"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server shows.

    Args:
        expires: the end of its certificate, as OpenSSL writes it; empty if it shows none.
        fault: why it is not accepted, with the remedy, for people; empty if it is.
    """

    expires: str = ""
    fault: str = ""


def shown_by(remote: str, credentials: Credentials, timeout: float) -> Shown:
    """Connect to a server by TLS, and look at its certificate.

    Args:
        remote: such as "ssl:192.0.2.1:6645"; nothing is shown at others.
        credentials: ours; without, nothing can be asked.
        timeout: seconds for the whole.
    """
    if not remote.startswith("ssl:") or not credentials.certificate:
        return Shown()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE  # only to look: nothing is believed that it says
    certificate = _certificate(remote, trusting, timeout)
    if certificate is None:
        return Shown()
    files = (credentials.private_key, credentials.certificate, credentials.ca_cert)
    fault = ""
    try:
        _handshake(remote, Tls(*files).context(), timeout)
    except ssl.SSLCertVerificationError as error:
        fault = _fault(certificate, error.verify_message, credentials)
    except OSError:
        pass  # it shows it all the same
    return Shown(certificate.not_after.strftime(_OPENSSL_DATE), fault)


def _certificate(remote: str, context: ssl.SSLContext, timeout: float) -> Look | None:
    with suppress(OSError, UnusableError):
        der = _handshake(remote, context, timeout)
        if der:
            return looks(ssl.DER_cert_to_PEM_cert(der).encode())[0]
    return None


def _handshake(remote: str, context: ssl.SSLContext, timeout: float) -> bytes | None:
    """The certificate that the server shows, in DER.

    Raises:
        OSError: nobody answers by TLS, or the certificate is not accepted.
    """
    host, _, port = remote.removeprefix("ssl:").rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), timeout) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True)


def _fault(certificate: Look, reason: str, credentials: Credentials) -> str:
    if certificate.not_after <= datetime.now(UTC):
        ended = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
        return (
            f"its certificate, of {certificate.common_name}, expired on {ended}; renew it there"
            " (`isthmus pki renew`)"
        )
    return (
        f"its certificate, of {certificate.issuer}, is not accepted: {reason}; give both sides the"
        f" CA that signed the other's ({credentials.ca_cert} here), or a bundle"
    )

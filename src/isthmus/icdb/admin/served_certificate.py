"""The certificate that a server presents, and why a client would reject it.

Called by `status`. OVS's own programs report only that a connection failed.
"""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from isthmus.ovsdb.tls import Tls
from isthmus.pki.certificate_info import CertificateInfo, parse_pem
from isthmus.pki.certificates import UnusableError
from isthmus.pki.files import TlsFiles

_OPENSSL_DATE = "%b %d %H:%M:%S %Y GMT"


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """The certificate that a server presents.

    Args:
        expires: its end, in OpenSSL's format; empty if there is none.
        fault: why it is rejected, with the remedy, for the operator; empty if it is accepted.
    """

    expires: str = ""
    fault: str = ""


def served_certificate(remote: str, tls: TlsFiles | None, timeout: float) -> ServedCertificate:
    """Connect to a server with TLS, and check its certificate.

    Args:
        remote: such as "ssl:192.0.2.1:6645"; other methods have no certificate.
        tls: our files; without them nothing is checked.
        timeout: seconds for each connection.
    """
    if not remote.startswith("ssl:") or tls is None:
        return ServedCertificate()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE  # nothing else that it sends is used
    certificate = _certificate(remote, trusting, timeout)
    if certificate is None:
        return ServedCertificate()
    files = (str(tls.private_key), str(tls.certificate), str(tls.ca_cert))
    fault = ""
    try:
        _handshake(remote, Tls(*files).context(), timeout)
    except ssl.SSLCertVerificationError as error:
        fault = _fault(certificate, error.verify_message, tls.ca_cert)
    except OSError:
        pass  # it has presented a certificate all the same
    return ServedCertificate(certificate.not_after.strftime(_OPENSSL_DATE), fault)


def _certificate(remote: str, context: ssl.SSLContext, timeout: float) -> CertificateInfo | None:
    with suppress(OSError, UnusableError):
        der = _handshake(remote, context, timeout)
        if der:
            return parse_pem(ssl.DER_cert_to_PEM_cert(der).encode())[0]
    return None


def _handshake(remote: str, context: ssl.SSLContext, timeout: float) -> bytes | None:
    """The certificate that the server presents, in DER.

    Raises:
        OSError: no server answers with TLS, or the certificate is rejected.
    """
    host, _, port = remote.removeprefix("ssl:").rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), timeout) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True)


def _fault(certificate: CertificateInfo, reason: str, ca_cert: Path) -> str:
    if certificate.not_after <= datetime.now(UTC):
        ended = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
        return (
            f"its certificate, of {certificate.common_name}, expired on {ended}; renew it there"
            " (`isthmus pki renew`)"
        )
    return (
        f"its certificate, issued by {certificate.issuer}, is rejected: {reason}; give each side"
        f" the CA that signed the other's ({ca_cert} here), or a bundle"
    )

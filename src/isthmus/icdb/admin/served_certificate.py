"""The certificate that a server presents, and why a client would reject it.

Called by `status`. OVS's own programs report only that a connection failed.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from isthmus.icdb.raft.peer_probe import tls_context
from isthmus.icdb.raft.reachability import presented_certificate, unverified
from isthmus.pki.certificate_info import CertificateInfo, parse_pem
from isthmus.pki.certificates import UnusableError
from isthmus.pki.files import TlsFiles

_OPENSSL_DATE = "%b %d %H:%M:%S %Y GMT"


def served_certificate(remote: str, tls: TlsFiles | None, timeout: float) -> tuple[str, str]:
    """Connect to a server with TLS, and check its certificate.

    Args:
        remote: such as "ssl:192.0.2.1:6645"; other methods have no certificate.
        tls: our files; without them nothing is checked.
        timeout: seconds for each connection.

    Returns:
        its end, in OpenSSL's format; and why it is rejected, with the remedy. Both may be empty.
    """
    if not remote.startswith("ssl:") or tls is None:
        return "", ""
    try:
        der = presented_certificate(remote, unverified(), timeout)
        certificate = parse_pem(ssl.DER_cert_to_PEM_cert(der).encode())[0]
    except (OSError, UnusableError):
        return "", ""
    fault = ""
    try:
        presented_certificate(remote, tls_context(tls), timeout)
    except ssl.SSLCertVerificationError as error:
        fault = _fault(certificate, error.verify_message, tls.ca_cert)
    except OSError:
        pass  # it has presented a certificate all the same
    return certificate.not_after.strftime(_OPENSSL_DATE), fault


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

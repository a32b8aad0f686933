"""TLS for connections to databases: the `ssl:` method.

Replaces the `ovs` package's stream of that name, which reads its files without regard for what may
be wrong with them. The files are read for every new connection, so that rotated certificates
serve without a restart while existing connections go on. Called once by the command line.
"""

import errno
import logging
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import ovs.poller
import ovs.socket_util
import ovs.stream

_log = logging.getLogger("ovs.stream_ssl")

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Tls:
    """What to show servers, and whom to believe (ovs-vswitchd(8), "Public Key Infrastructure").

    Args:
        private_key, certificate: ours, in PEM.
        ca_cert: the authority that signed the servers' certificates, in PEM.
        protocols: the versions to offer, e.g. "TLSv1.2,TLSv1.3", or with a "+" after the lowest;
            empty is TLS 1.2 and later.
        ciphers: for TLS 1.2 and before, as OpenSSL writes them; empty is OpenSSL's default.
        server_name: to ask for (SNI); empty asks for none.
    """

    private_key: str
    certificate: str
    ca_cert: str
    protocols: str = ""
    ciphers: str = ""
    server_name: str = ""

    def __post_init__(self) -> None:
        _range(self.protocols)

    def use(self) -> None:
        """Have all new `ssl:` connections use this."""
        _Stream.tls = self

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            OSError: one cannot be read, or they do not fit together (`ssl.SSLError`).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Certificates of OVSDB name systems, not hosts; that the authority signed it is enough.
        context.check_hostname = False
        context.minimum_version, context.maximum_version = _range(self.protocols)
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        try:
            file = self.ca_cert
            context.load_verify_locations(self.ca_cert)
            file = self.certificate
            context.load_cert_chain(self.certificate, self.private_key)
        except OSError as error:
            raise OSError(error.errno or errno.EPROTO, f"{file}: {_reason(error)}") from error
        return context


def _range(protocols: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest version that a list names.

    Raises:
        ValueError: it names one that does not exist.
    """
    if not protocols:
        return ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED
    words = protocols.replace(",", " ").split()
    names = [word.removesuffix("+") for word in words]
    if unknown := [name for name in names if name not in _VERSIONS]:
        raise ValueError(f"{unknown[0]}: unknown TLS protocol; known are {', '.join(_VERSIONS)}")
    found = sorted(_VERSIONS[name] for name in names)
    open_ended = any(word.endswith("+") for word in words)
    return found[0], ssl.TLSVersion.MAXIMUM_SUPPORTED if open_ended else found[-1]


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return error.strerror or str(error)


class _Stream(ovs.stream.SSLStream):
    """A TLS connection that fails instead of raising, and wakes for what it has read ahead."""

    tls: Tls | None = None
    _awaits_answer = False

    @classmethod
    def _open(cls, suffix: str, dscp: int) -> tuple[int, Any]:
        address = ovs.socket_util.inet_parse_active(suffix, 0, raises=False)
        if cls.tls is None or not address[0]:
            _log.warning(
                "ssl:%s: needs HOST:PORT, a private key, a certificate and a CA certificate", suffix
            )
            return errno.EINVAL, None
        try:
            context = cls.tls.context()
        except OSError as error:
            _log.warning("ssl:%s: %s", suffix, error.strerror)
            return error.errno or errno.EPROTO, None
        family, plain = ovs.socket_util.inet_create_socket_active(socket.SOCK_STREAM, address)
        if plain is None:
            return family, None
        wrapped = context.wrap_socket(
            plain, do_handshake_on_connect=False, server_hostname=cls.tls.server_name or None
        )
        error_number = ovs.socket_util.inet_connect_active(wrapped, address, family, dscp)
        if error_number:
            wrapped.close()
            return error_number, None
        return 0, wrapped

    def connect(self) -> int:
        """Go on with connection and handshake; 0 when done, else an errno."""
        error: int = ovs.stream.Stream.connect(self)
        if error:
            return error
        self._awaits_answer = False
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._awaits_answer = True
            return errno.EAGAIN
        except ssl.SSLWantWriteError:
            return errno.EAGAIN
        except OSError as failure:
            _log.warning("%s: TLS handshake failed: %s", self.name, _reason(failure))
            return errno.EPROTO
        return 0

    def recv(self, n: int) -> tuple[int, Any]:
        """Up to n bytes."""
        try:
            return self._recv(n)  # type: ignore[no-any-return]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return errno.EAGAIN, ""
        except ssl.SSLZeroReturnError:
            return 0, ""
        except ssl.SSLError as error:
            _log.warning("%s: %s", self.name, _reason(error))
            return errno.EPROTO, ""
        except OSError as error:
            return error.errno or errno.EPROTO, ""

    def send(self, buf: Any) -> int:
        """Send what fits; the number of bytes, or a negative errno."""
        try:
            return self._send(buf)  # type: ignore[no-any-return]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return -errno.EAGAIN
        except ssl.SSLError as error:
            _log.warning("%s: %s", self.name, _reason(error))
            return -errno.EPROTO
        except OSError as error:
            return -(error.errno or errno.EPROTO)

    def wait(self, poller: Any, wait: int) -> None:
        """Wait for the socket, but not while decrypted bytes are there already."""
        if wait == self.W_RECV and self.socket.pending():
            poller.immediate_wake()
        elif self._awaits_answer:
            # The socket can be written to all the while: waiting for that would be spinning.
            poller.fd_wait(self.socket, ovs.poller.POLLIN)
        else:
            super().wait(poller, wait)


def configured() -> bool:
    """Whether there is anything to show servers."""
    return _Stream.tls is not None


ovs.stream.Stream.register_method("ssl", _Stream)

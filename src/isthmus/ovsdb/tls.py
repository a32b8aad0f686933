"""TLS for connections to databases: the `ssl:` method.

Replaces the `ovs` package's stream of that name, which reads its files without regard for what may
be wrong with them. The files are read for every new connection, so that rotated certificates
serve without a restart while existing connections go on. The command line says once what to use,
for all databases or for some; sessions say which database an address belongs to.
"""

import datetime
import errno
import logging
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ovs.poller
import ovs.socket_util
import ovs.stream

from isthmus.model.problems import Problem
from isthmus.model.rows import Database

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

    def use(self, databases: Iterable[Database] | None = None) -> None:
        """Have new `ssl:` connections use this.

        Args:
            databases: to which; None for all that have nothing of their own.
        """
        if databases is None:
            _Stream.tls = self
        else:
            _Stream.own |= dict.fromkeys(databases, self)

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

    def faults(self) -> tuple[Problem, ...]:
        """What is wrong with the files themselves, such as that a certificate has expired."""
        # Imported when needed: whoever uses no TLS need not load a library for it.
        from isthmus.pki.files import TlsFiles, check_files  # noqa: PLC0415

        files = TlsFiles(Path(self.private_key), Path(self.certificate), Path(self.ca_cert))
        return check_files(files, datetime.datetime.now(datetime.UTC))


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
    own: dict[Database, Tls] = {}  # noqa: RUF012 - shared by all connections, as `tls` is
    databases: dict[str, Database] = {}  # noqa: RUF012 - by address, likewise
    failures: dict[str, str] = {}  # noqa: RUF012 - why an address does not serve, likewise
    _awaits_answer = False

    @classmethod
    def tls_for(cls, address: str) -> Tls | None:
        """What to show the server at "HOST:PORT"."""
        database = cls.databases.get(address)
        return cls.tls if database is None else cls.own.get(database, cls.tls)

    @classmethod
    def _open(cls, suffix: str, dscp: int) -> tuple[int, Any]:
        address = ovs.socket_util.inet_parse_active(suffix, 0, raises=False)
        tls = cls.tls_for(suffix)
        if tls is None or not address[0]:
            _log.warning(
                "ssl:%s: needs HOST:PORT, a private key, a certificate and a CA certificate", suffix
            )
            return errno.EINVAL, None
        try:
            context = tls.context()
        except OSError as error:
            _log.warning("ssl:%s: %s", suffix, error.strerror)
            cls.failures[suffix] = error.strerror or str(error)
            return error.errno or errno.EPROTO, None
        family, plain = ovs.socket_util.inet_create_socket_active(socket.SOCK_STREAM, address)
        if plain is None:
            return family, None
        wrapped = context.wrap_socket(
            plain, do_handshake_on_connect=False, server_hostname=tls.server_name or None
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
            if error != errno.EAGAIN:
                self.failures.pop(self.name.removeprefix("ssl:"), None)  # it is not TLS now
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
            self._failed("TLS handshake failed", failure)
            return errno.EPROTO
        return 0

    def _failed(self, what: str, error: OSError) -> None:
        said = f"{what}: {_reason(error)}"
        _log.warning("%s: %s", self.name, said)
        address = self.name.removeprefix("ssl:")
        # A server that refuses our certificate says so only after the handshake (TLS 1.3), and
        # may drop the connection before we have read why; a reason once known stays.
        if address not in self.failures or not isinstance(error, ssl.SSLEOFError):
            self.failures[address] = said

    def recv(self, n: int) -> tuple[int, Any]:
        """Up to n bytes."""
        try:
            received: tuple[int, Any] = self._recv(n)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return errno.EAGAIN, ""
        except ssl.SSLZeroReturnError:
            return 0, ""
        except ssl.SSLError as error:
            self._failed("TLS failed", error)
            return errno.EPROTO, ""
        except OSError as error:
            return error.errno or errno.EPROTO, ""
        if received[1]:
            self.failures.pop(self.name.removeprefix("ssl:"), None)
        return received

    def send(self, buf: Any) -> int:
        """Send what fits; the number of bytes, or a negative errno."""
        try:
            return self._send(buf)  # type: ignore[no-any-return]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return -errno.EAGAIN
        except ssl.SSLError as error:
            self._failed("TLS failed", error)
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


_GONE = re.compile("eof|reset|unexpected end")
"""What a server that speaks no TLS does with a connection that begins with it."""


def configured(database: Database) -> bool:
    """Whether there is anything to show servers of a database."""
    return _Stream.tls is not None or database in _Stream.own


def assign(database: Database, remotes: Iterable[str]) -> None:
    """Say which database is at some addresses ("ssl:HOST:PORT"; others are passed over)."""
    for remote in remotes:
        if remote.startswith("ssl:"):
            _Stream.databases[remote.removeprefix("ssl:")] = database


def fault(remotes: Iterable[str]) -> tuple[str, str] | None:
    """Why TLS to addresses fails, if it does, and what to do about it.

    What is wrong with our own files is told first: a server tells little of why it refuses them.
    """
    for remote in remotes:
        address = remote.removeprefix("ssl:")
        tls = _Stream.tls_for(address)
        said = _Stream.failures.get(address)
        if not remote.startswith("ssl:") or said is None or tls is None:
            continue
        for problem in tls.faults():
            what = f"{problem.key} {problem.value} {problem.message}"
            return f"cannot be reached by TLS: our {what}", problem.remedy
        return f"cannot be reached by TLS: {said}", _remedy(said)
    return None


def clear_text_hint(remotes: Iterable[str]) -> str:
    """What else may be amiss where a server in clear text is silent, to be put after a remedy.

    One that speaks TLS alone takes the connection and closes it without a word.
    """
    if not any(remote.startswith("tcp:") for remote in remotes):
        return ""
    return (
        "; if it speaks TLS alone, reach it by ssl: with certificates (`isthmus run --ic-tls-dir`)"
    )


def _remedy(said: str) -> str:
    """What to do about what OpenSSL says; the words are its own (x509_txt.c, ssl_err.c)."""
    if "certificate has expired" in said:
        return "renew the server's certificate (`isthmus pki renew`), or set the clocks right"
    if "certificate verify failed" in said or "issuer certificate" in said or "self" in said:
        return (
            "give the CA certificate that signed the server's; servers and clients must have the"
            " same, or a bundle with both (`isthmus pki bundle`)"
        )
    lower = said.replace("_", " ").lower()
    if "wrong version number" in lower or ("handshake" in lower and _GONE.search(lower)):
        return "have the server speak TLS (`isthmus ic-db run --tls-dir`), or do not ask for it"
    return (
        "see that the server believes the CA of our certificate (`isthmus pki show` tells it),"
        " and what its log says"
    )


ovs.stream.Stream.register_method("ssl", _Stream)

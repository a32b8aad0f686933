"""TLS for connections to databases: the `ssl:` method.

Replaces the `ovs` package's stream of that name, which does not handle errors in its files. The
files are read for every new connection, so that rotated certificates are used without a restart
while existing connections stay open. The command line configures the files once, for all databases
or for some; sessions register which database an address belongs to.
"""

import datetime
import errno
import logging
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ovs.poller
import ovs.stream

from isthmus.model.problems import Problem
from isthmus.model.reasons import Reason
from isthmus.model.rows import Database
from isthmus.model.text import failure_text
from isthmus.ovsdb.streams.tcp import TcpStream

if TYPE_CHECKING:
    from isthmus.pki.files import TlsFiles

_log = logging.getLogger("ovs.stream_ssl")

_VERSIONS = {v.name.replace("_", "."): v for v in ssl.TLSVersion if v.name.startswith("TLS")}
"""By OpenSSL's names, "TLSv1" to "TLSv1.3"."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Our certificate and the trusted CA (ovs-vswitchd(8), "Public Key Infrastructure").

    Args:
        private_key, certificate: ours, in PEM.
        ca_cert: the CA that signed the servers' certificates, in PEM.
        protocols: the versions to offer, e.g. "TLSv1.2,TLSv1.3", or with a "+" after the lowest;
            empty is TLS 1.2 and later.
        ciphers: for TLS 1.2 and earlier, in OpenSSL's notation; empty is OpenSSL's default.
        server_name: sent to the server (SNI); empty sends none.
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
        """Use this for new `ssl:` connections.

        Args:
            databases: for these; None for all databases without their own `Tls`.
        """
        if databases is None:
            _TlsStream.tls = self
        else:
            _TlsStream.own |= dict.fromkeys(databases, self)

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            OSError: one cannot be read, or they do not belong together (`ssl.SSLError`).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # OVSDB's certificates name systems, not hosts; the CA's signature is sufficient.
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
            message = f"{file}: {failure_text(error)}"
            raise OSError(error.errno or errno.EPROTO, message) from error
        return context

    def faults(self) -> tuple[Problem, ...]:
        """Problems of the files themselves, e.g. an expired certificate."""
        # Imported when needed: it loads `cryptography`, which is slow to import.
        from isthmus.pki.files import check_files  # noqa: PLC0415

        return check_files(self._files(), datetime.datetime.now(datetime.UTC))

    def expiring(self) -> tuple[Problem, ...]:
        """Certificates that are not valid now, or expire within 30 days."""
        from isthmus.pki.files import expiring  # noqa: PLC0415 - as above

        invalid = [p for p in self.faults() if p.reason is Reason.CERTIFICATE_EXPIRES]
        return (*invalid, *expiring(self._files(), datetime.datetime.now(datetime.UTC)))

    def _files(self) -> "TlsFiles":
        from isthmus.pki.files import TlsFiles  # noqa: PLC0415 - as above

        return TlsFiles(Path(self.private_key), Path(self.certificate), Path(self.ca_cert))


def _range(protocols: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest version in a list.

    Raises:
        ValueError: a version does not exist.
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


Fault: TypeAlias = tuple[str, str] | Problem
"""Why a server cannot be reached: message and remedy, or the problem that is the cause and that is
reported whether or not a connection fails."""


class _TlsStream(TcpStream):
    """A TLS connection that returns errors, and wakes for data that it has read ahead."""

    tls: Tls | None = None
    own: dict[Database, Tls] = {}  # noqa: RUF012 - shared by all connections, as `tls` is
    databases: dict[str, Database] = {}  # noqa: RUF012 - by address, likewise
    # Errors by address, likewise; empty if the last connection ended without a reason, which a
    # server without TLS does each time, and one that restarts once.
    failures: dict[str, str] = {}  # noqa: RUF012
    _awaits_answer = False

    def __init__(self, connector: Any, name: str, status: int) -> None:
        """Start with the status of TCP's connection attempt, which may have failed at once."""
        super().__init__(connector, name, status)
        self._clear_unless_connected(status)

    @classmethod
    def tls_for(cls, address: str) -> Tls | None:
        """The `Tls` for the server at "HOST:PORT"."""
        database = cls.databases.get(address)
        return cls.tls if database is None else cls.own.get(database, cls.tls)

    @classmethod
    def _open(cls, suffix: str, dscp: int) -> tuple[int, Any]:
        tls = cls.tls_for(suffix)
        assert tls is not None  # noqa: S101 - sessions refuse ssl: addresses without certificates
        try:
            context = tls.context()
        except OSError as error:
            cls.failures[suffix] = failure_text(error)
            _log.warning("ssl:%s: %s", suffix, cls.failures[suffix])
            return error.errno or errno.EPROTO, None
        prepare = partial(
            context.wrap_socket,
            do_handshake_on_connect=False,
            server_hostname=tls.server_name or None,
        )
        return 0, cls._connector(suffix, dscp, prepare)

    @property
    def _address(self) -> str:
        return str(self.name).removeprefix("ssl:")

    def connect(self) -> int:
        """Continue with connection and handshake; 0 when done, else an errno."""
        error = super().connect()
        if error:
            self._clear_unless_connected(error)
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

    def _clear_unless_connected(self, error: int) -> None:
        """Clear a failure if TCP does not connect: the cause is not TLS any more."""
        if error not in {0, errno.EAGAIN}:
            self.failures.pop(self._address, None)

    def _failed(self, what: str, error: OSError) -> None:
        has_reason = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
        reason = failure_text(error) if has_reason else "the server closed the connection"
        _log.warning("%s: %s: %s", self.name, what, reason)
        # With TLS 1.3 a server refuses our certificate only after the handshake, and may close the
        # connection before we have read the alert. A reason is therefore kept.
        if has_reason or self.failures.get(self._address) == "":
            self.failures[self._address] = f"{what}: {reason}"
        self.failures.setdefault(self._address, "")

    def _errno(self, error: OSError) -> int:
        """The errno for an error of a connection that was open."""
        if isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
            return errno.EAGAIN
        if isinstance(error, ssl.SSLError):
            self._failed("TLS failed", error)
            return errno.EPROTO
        return error.errno or errno.EPROTO

    def recv(self, n: int) -> tuple[int, Any]:
        """Receive up to n bytes; (error, bytes)."""
        try:
            received: tuple[int, Any] = self._recv(n)
        except ssl.SSLZeroReturnError:
            return 0, ""
        except OSError as error:
            return self._errno(error), ""
        if received[1] and self.failures:
            # Those of the database's other servers, too: they do not explain a later outage.
            database = self.databases.get(self._address)
            for address in [a for a in self.failures if self.databases.get(a) is database]:
                del self.failures[address]
        return received

    def send(self, buf: Any) -> int:
        """Send as much as possible; the number of bytes, or a negative errno."""
        try:
            return self._send(buf)  # type: ignore[no-any-return]
        except OSError as error:
            return -self._errno(error)

    def wait(self, poller: Any, wait: int) -> None:
        """Wait for the socket, but not while decrypted bytes are available."""
        if wait == self.W_RECV and self.socket.pending():
            poller.immediate_wake()
        elif self._awaits_answer:
            # The socket is always writable here: waiting for that would be a busy loop.
            poller.fd_wait(self.socket, ovs.poller.POLLIN)
        else:
            super().wait(poller, wait)


_CLOSED = re.compile("closed the connection|unexpected end")
"""How a server without TLS ends a connection that begins with TLS."""


def configured(database: Database) -> bool:
    """Whether a certificate is configured for a database."""
    return _TlsStream.tls is not None or database in _TlsStream.own


def in_use(remotes: Iterable[str]) -> set[Tls]:
    """What is used to connect to addresses ("ssl:HOST:PORT"; others are ignored)."""
    addresses = (r.removeprefix("ssl:") for r in remotes if r.startswith("ssl:"))
    return {tls for tls in map(_TlsStream.tls_for, addresses) if tls is not None}


def register_addresses(database: Database, remotes: Iterable[str]) -> None:
    """Register the addresses of a database ("ssl:HOST:PORT"; others are ignored)."""
    for remote in remotes:
        if remote.startswith("ssl:"):
            _TlsStream.databases[remote.removeprefix("ssl:")] = database


def fault(remotes: Iterable[str]) -> Fault | None:
    """Why TLS to one of the addresses fails; None if it works.

    Problems of our own files come first, since a server gives few details when it refuses them.
    """
    for remote in remotes:
        address = remote.removeprefix("ssl:")
        tls = _TlsStream.tls_for(address)
        failure = _TlsStream.failures.get(address)
        if not remote.startswith("ssl:") or not failure or tls is None:
            continue
        for problem in tls.faults():
            if problem.reason is Reason.CERTIFICATE_EXPIRES:
                return problem
            what = f"{problem.key} {problem.value} {problem.message}"
            return f"cannot be reached by TLS: our {what}", problem.remedy
        return f"cannot be reached by TLS: {failure}", _remedy(failure)
    return None


def _remedy(failure: str) -> str:
    """The remedy for an error of OpenSSL, by its text (x509_txt.c, ssl_err.c)."""
    if "certificate has expired" in failure:
        return "renew the server's certificate (`isthmus pki renew`), or correct the clocks"
    if any(part in failure for part in ("certificate verify failed", "issuer certificate", "self")):
        return (
            "use the CA certificate that signed the server's certificate; servers and clients need"
            " the same CA, or a bundle of both (`isthmus pki bundle`)"
        )
    lower = failure.replace("_", " ").lower()
    if "wrong version number" in lower or ("handshake" in lower and _CLOSED.search(lower)):
        return "enable TLS on the server (`isthmus ic-db run --tls-dir`), or use a tcp: address"
    return (
        "check that the server trusts the CA of our certificate (shown by `isthmus pki show`), and"
        " read the server's log"
    )


ovs.stream.Stream.register_method("ssl", _TlsStream)

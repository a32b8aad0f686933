"""The three TLS options, those of `isthmus` and those of `isthmus ovn-ic`, checked alike."""

from pathlib import Path

from isthmus.cli.common.errors import CommandError
from isthmus.model.problems import Subject
from isthmus.ovsdb.tls import Tls


def tls_of(program: str, private_key: str, certificate: str, ca_cert: str) -> Tls | None:
    """What to show servers; None if no option is given.

    Args:
        program: whose options they are, for errors.
        private_key, certificate, ca_cert: file names, empty if not given.

    Raises:
        CommandError: only some are given.
    """
    given = {"--private-key": private_key, "--certificate": certificate, "--ca-cert": ca_cert}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise CommandError(
            Subject(f"command {program}", missing[0]).problem(
                "is missing; TLS needs a private key, a certificate and a CA certificate",
                "give all three options, or none",
            )
        )
    return Tls(private_key, certificate, ca_cert)


def tls_in(directory: Path) -> Tls:
    """What to show servers, from a directory as `isthmus pki issue` or a Secret makes.

    Files that are missing or bad are reported when they are used: they may come or be mended
    while a daemon runs.
    """
    # Imported when needed: whoever uses no TLS need not load a library for it.
    from isthmus.pki.files import TlsFiles  # noqa: PLC0415

    files = TlsFiles.in_directory(directory)
    return Tls(str(files.private_key), str(files.certificate), str(files.ca_cert))

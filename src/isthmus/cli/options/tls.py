"""Checks the three TLS options, which `isthmus` and `isthmus ovn-ic` share."""

from pathlib import Path

from isthmus.cli.common.errors import CommandError
from isthmus.model.problems import Subject
from isthmus.ovsdb.streams.tls import Tls


def tls_of(program: str, private_key: str, certificate: str, ca_cert: str) -> Tls | None:
    """The TLS configuration for ssl: remotes; None if no option is given.

    Args:
        program: the command that has the options, for errors.
        private_key, certificate, ca_cert: file names, empty if not given.

    Raises:
        CommandError: only some of the options are given.
    """
    given = {"--private-key": private_key, "--certificate": certificate, "--ca-cert": ca_cert}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        message = "is not given, but TLS needs a private key, a certificate and a CA certificate"
        subject = Subject(f"command {program}", missing[0])
        raise CommandError(subject.problem(message, "give all three options or none"))
    return Tls(private_key, certificate, ca_cert)


def tls_in(directory: Path) -> Tls:
    """The TLS configuration from a directory that `isthmus pki issue` or a Secret fills.

    Missing or invalid files are reported when they are used, because they may appear or be
    corrected while a daemon runs.
    """
    # Imports the cryptography package, which is slow to load.
    from isthmus.pki.files import TlsFiles  # noqa: PLC0415

    files = TlsFiles.in_directory(directory)
    return Tls(str(files.private_key), str(files.certificate), str(files.ca_cert))

"""The three TLS options, those of `isthmus` and those of `isthmus ovn-ic`, checked alike."""

from isthmus.cli.errors import CommandError
from isthmus.model.problems import Problem
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
            Problem(
                object=f"command {program}",
                key=missing[0],
                value="",
                message="is missing; TLS needs a private key, a certificate and a CA certificate",
                remedy="give all three options, or none",
            )
        )
    return Tls(private_key, certificate, ca_cert)

"""The three TLS options that verbs share, checked alike."""

from isthmus.cli.errors import CommandError
from isthmus.model.problems import Problem
from isthmus.ovsdb.tls import Tls


def tls_of(verb: str, private_key: str, certificate: str, ca_cert: str) -> Tls | None:
    """What to show servers; None if no option is given (empty strings).

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
                object=f"command {verb}",
                key=missing[0],
                value="",
                message="is missing; TLS needs a private key, a certificate and a CA certificate",
                remedy="give all three options, or none",
            )
        )
    return Tls(private_key, certificate, ca_cert)

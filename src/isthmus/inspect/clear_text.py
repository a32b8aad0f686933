"""Weaknesses: database connections that work, but are not encrypted. Pure.

Called by `isthmus status`. A weakness does not change the exit status.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason
from isthmus.model.text import printable
from isthmus.ovsdb.streams.addresses import split


def weaknesses(remotes: Mapping[str, str]) -> list[Problem]:
    """One problem for each database that is connected over plain TCP to another machine.

    Args:
        remotes: OVSDB connection methods, comma-separated, by the name of the database.
    """
    return [
        Subject(f"database {database}", "remote", ",".join(clear)).problem(
            (
                "is connected in clear text, so anyone on the network path can read and change the"
                " database"
            ),
            (
                "enable TLS on its servers (`isthmus pki` makes certificates), and here with"
                " --ic-tls-dir for the IC databases or ssl: addresses for the others"
            ),
            Reason.CLEAR_TEXT,
        )
        for database, remote in remotes.items()
        if (clear := [method for method in split(remote) if _is_clear(method)])
    ]


def _is_clear(method: str) -> bool:
    kind, _, rest = method.partition(":")
    host = rest.rpartition(":")[0].strip("[]").lower().removesuffix(".")
    return kind == "tcp" and host != "localhost" and not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def weakness_lines(found: Iterable[Problem]) -> list[str]:
    """Weaknesses as lines of plain text."""
    return [
        printable(line)
        for problem in found
        for line in (
            f"weakness: {problem.object} at {problem.value} {problem.message}",
            f"  remedy: {problem.remedy}",
        )
    ]

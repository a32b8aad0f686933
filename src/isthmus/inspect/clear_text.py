"""What is open to whoever is on the network, though it works: connections in clear text.

Called by `isthmus status`. Pure. A weakness is no fault: it changes no exit status.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from isthmus.model.problems import Problem, Subject
from isthmus.model.reasons import Reason


def weaknesses(remotes: Mapping[str, str]) -> list[Problem]:
    """One for each database that is reached by plain TCP beyond this machine.

    Args:
        remotes: OVSDB connection methods, comma-separated, by the database's name.
    """
    return [
        Subject(f"database {database}", "remote", ",".join(clear)).problem(
            (
                "is reached in clear text: whoever is on the network between can read it and"
                " write to it"
            ),
            (
                "have its servers speak TLS (`isthmus pki` makes certificates), and say so here"
                " (--ic-tls-dir for the IC databases, ssl: addresses for the others)"
            ),
            Reason.CLEAR_TEXT,
        )
        for database, remote in remotes.items()
        if (clear := [method for method in remote.split(",") if _is_clear(method)])
    ]


def _is_clear(method: str) -> bool:
    kind, _, rest = method.partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    return kind == "tcp" and host != "localhost" and not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def weakness_lines(found: Iterable[Problem]) -> list[str]:
    """Weaknesses as plain text for people."""
    lines = []
    for problem in found:
        lines.append(f"weakness: {problem.object} at {problem.value} {problem.message}")
        lines.append(f"  remedy: {problem.remedy}")
    return lines

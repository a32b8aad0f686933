"""What `isthmus ic-db run` must run, as values, and what can be wrong with that. Pure.

Called by the command line; `supervisor` carries it out.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from isthmus.icdb.local.database_server import (
    NB_PORT,
    NB_RAFT_PORT,
    SB_PORT,
    SB_RAFT_PORT,
    DatabaseServer,
    Directories,
    Program,
)
from isthmus.icdb.local.hosts import is_loopback, unbracketed
from isthmus.icdb.raft.membership import Membership
from isthmus.icdb.transit_switches.spec import TransitSwitchSpec
from isthmus.model.prefixes import Address
from isthmus.model.problems import Problem, Subject
from isthmus.pki.files import TlsFiles

SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a Unix socket (`sun_path` in unix(7), less its final zero)."""

RESTART_FIRST = 0.1
RESTART_MOST = 10.0
"""Seconds between the end of a server and its restart: doubled from the first to the most."""

STABLE_AFTER = 30.0
"""Seconds that a server must have run for its next end to count as the first again."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports, the same for all members: for clients, and for Raft between members."""

    nb: int = NB_PORT
    sb: int = SB_PORT
    nb_raft: int = NB_RAFT_PORT
    sb_raft: int = SB_RAFT_PORT


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Args:
        nb: the server of IC-NB.
        sb: the server of IC-SB.
        transit_switches: to exist in IC-NB; None for `spec.DEFAULT` if there is none of ours.
        membership: the cluster's members; None if the databases stand alone.
        insecure: whether plain TCP was asked for.
        prune_after: heartbeat age in seconds after which a zone is pruned; None for never.
        proxy: the authorizing proxy that listens for clients; None if the servers do.
    """

    nb: DatabaseServer
    sb: DatabaseServer
    transit_switches: tuple[TransitSwitchSpec, ...] | None = None
    membership: Membership | None = None
    insecure: bool = False
    prune_after: int | None = None
    proxy: Program | None = None

    @property
    def servers(self) -> tuple[DatabaseServer, DatabaseServer]:
        """Both servers."""
        return self.nb, self.sb

    @property
    def files(self) -> Directories:
        """Where files are."""
        return self.nb.files


def database_servers(
    files: Directories, listen: Address, ports: Ports, tls: TlsFiles | None = None
) -> tuple[DatabaseServer, DatabaseServer]:
    """Both servers on one address."""
    return (
        DatabaseServer("nb", ports.nb, files, listen=listen, raft_port=ports.nb_raft, tls=tls),
        DatabaseServer("sb", ports.sb, files, listen=listen, raft_port=ports.sb_raft, tls=tls),
    )


def plan_problems(plan: Plan) -> list[Problem]:
    """What is wrong with a plan, as far as it can be seen before anything is touched."""
    problems = [*_port_problems(plan), *_clear_text_problems(plan)]
    longest = max(len(os.fsencode(server.socket)) for server in plan.servers)
    if longest > SOCKET_PATH_LIMIT:
        message = f"makes a socket's path {longest} bytes long; Linux allows {SOCKET_PATH_LIMIT}"
        subject = Subject("IC databases", "--run-dir", str(plan.files.run_dir))
        problems.append(subject.problem(message, "give a directory with a shorter path"))
    return problems


def _port_problems(plan: Plan) -> Iterable[Problem]:
    named = [("--nb-port", plan.nb.port), ("--sb-port", plan.sb.port)]
    if plan.membership is not None:
        named += [("--nb-raft-port", plan.nb.raft_port), ("--sb-raft-port", plan.sb.raft_port)]
    taken: dict[int, str] = {}
    for flag, port in named:
        if port in taken:
            yield Subject("IC databases", flag, str(port)).problem(
                f"is also the port of {taken[port]}",
                "give different ports, such as"
                f" {NB_PORT}, {SB_PORT}, {NB_RAFT_PORT} and {SB_RAFT_PORT}",
            )
        taken.setdefault(port, flag)


def _clear_text_problems(plan: Plan) -> Iterable[Problem]:
    """Plain TCP beyond this machine must be asked for."""
    if plan.insecure or plan.nb.tls is not None:
        return
    own = plan.membership.own if plan.membership is not None else ""
    for key, host in (("--listen", str(plan.nb.listen)), ("--address", own)):
        if host and not is_loopback(host):
            yield Subject("IC databases", key, host).problem(
                "can be reached from other machines, and over plain TCP any of them can read and"
                " write the databases",
                "give --tls-dir (`isthmus pki` creates the files), or accept the risk with"
                " --insecure (or ENABLE_SSL=false)",
            )
            return


def parse_listen(text: str) -> Address | Problem:
    """The address of `--listen`; IPv6 with or without brackets."""
    try:
        return ip_address(unbracketed(text))
    except ValueError:
        return Subject("IC databases", "--listen", text).problem(
            "is not an IP address",
            "give an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::1",
        )


def listen_of_member(own: str, ipv6: bool) -> Address:
    """The address on which a member listens for clients by default.

    A member that is named by a host name listens on all addresses: the name may resolve to
    different addresses on other hosts and at other times. With `ipv6`, "::" means both families.
    """
    try:
        return ip_address(own)
    except ValueError:
        every = "::" if ipv6 else "0.0.0.0"  # noqa: S104 - a host name asks for all addresses
        return ip_address("127.0.0.1" if own == "localhost" else every)


def restart_delay(ends: int) -> float:
    """Seconds to wait before the restart of a server that ended `ends` times in a row."""
    # The exponent is bounded: a server may end at every start for weeks.
    return min(RESTART_FIRST * 2.0 ** min(ends - 1, 30), RESTART_MOST)

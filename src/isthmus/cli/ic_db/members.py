"""`isthmus ic-db leave|kick|move-leader|compact`: changes to the members and their files.

Registered by `isthmus.cli.ic_db.run`. Run on the host of a member: the local servers are asked over
their control sockets, the others at the addresses that the cluster has.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from isthmus.cli.common.confirm import YesOption, confirmed
from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import print_lines
from isthmus.cli.ic_db.options import MemberOptions, ServerOptions, TimeoutOption
from isthmus.icdb.admin import membership_changes
from isthmus.model.problems import Subject

_QUESTION_TIMEOUT = 5.0
"""Seconds to wait for the answer of a member before removing it."""


@dataclass(frozen=True, kw_only=True)
class LeaveOptions(ServerOptions):
    """Options of `leave`."""

    timeout: TimeoutOption = 30.0
    yes: YesOption = False


@dataclass(frozen=True, kw_only=True)
class KickOptions(MemberOptions):
    """Options of `kick`."""

    member: Annotated[
        str, typer.Argument(help="The member's address, or four digits of its server id.")
    ]
    yes: YesOption = False


@dataclass(frozen=True, kw_only=True)
class MoveLeaderOptions(ServerOptions):
    """Options of `move-leader`."""

    timeout: TimeoutOption = 10.0


def leave(options: LeaveOptions) -> None:
    """Take this host's servers out of their clusters for good, after handing leadership over.

    Refused if no majority of the members would be left.
    """
    servers = options.servers()
    consequence = "leaving is final: this member can only rejoin without its data"
    confirmed("this member", consequence, "make a backup", yes=options.yes, dry_run=False)
    # Neither cluster is left unless both can be. A repeated command continues where it stopped.
    remaining = [server for server in servers if membership_changes.has_database(server)]
    for server in remaining:
        membership_changes.check_leaving(server)
    for server in servers:
        if server in remaining:
            membership_changes.leave(server, options.timeout)
        print_lines(f"{server.database}: this member has left the cluster")
    print_lines(
        "stop `isthmus ic-db run` on this host; to let it rejoin, move its files in"
        f" {options.data_dir} away"
    )


def kick(options: KickOptions) -> None:
    """Remove a member that does not come back from both clusters.

    A member that is alive is only removed with --yes. Refused if no majority would be left.
    """
    client, found = options.client(_QUESTION_TIMEOUT), []
    argument = Subject("IC databases", "MEMBER", options.member)
    for server in options.servers():
        member = membership_changes.settled_member(server, options.member, options.timeout)
        if member is None:
            continue
        if member.itself:
            remedy = "use `isthmus ic-db leave` to remove it"
            raise CommandError(argument.problem("is this host's own server", remedy))
        if not options.yes and membership_changes.is_alive(server, member, client):
            subject, remedy = f"member {member.address}", "check that this is the right member"
            confirmed(subject, "the member is alive", remedy, yes=False, dry_run=False)
        membership_changes.check_without(server, member)
        found.append((server, member))
    if not found:
        message = "is not the address or server id of a member"
        remedy = "give one of those that `isthmus ic-db status` shows"
        raise CommandError(argument.problem(message, remedy))
    for server, member in found:
        membership_changes.kick(server, member, options.timeout)
        print_lines(f"{server.database}: removed {member.sid} at {member.address}")


def move_leader(options: MoveLeaderOptions) -> None:
    """Hand leadership over where this host's servers lead, before the host goes down."""
    for server in options.servers():
        leader = membership_changes.move_leader(server, options.timeout)
        result = f"{leader} leads now" if leader else "this member does not lead"
        print_lines(f"{server.database}: {result}")


def compact(options: ServerOptions) -> None:
    """Replace this host's logs by snapshots; the servers also do so on their own."""
    for server in options.servers():
        before, after = membership_changes.compact(server)
        print_lines(f"{server.database}: {before} bytes before, {after} after")

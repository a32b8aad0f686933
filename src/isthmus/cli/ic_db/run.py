"""`isthmus ic-db`: its verbs, and `run`, which serves the databases that clusters share."""

import datetime
import logging
import os
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

import typer

from isthmus.authz.plan import with_authorization
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.notify import notify_ready
from isthmus.cli.common.output import print_lines
from isthmus.cli.ic_db import authz, backup, members, transit_switches
from isthmus.cli.ic_db.options import NbPortOption, SbPortOption, ServerOptions, verb
from isthmus.cli.ic_db.status import status
from isthmus.icdb.local.database_server import NB_PORT, NB_RAFT_PORT, SB_PORT, SB_RAFT_PORT
from isthmus.icdb.raft.membership import Membership, parse_membership
from isthmus.icdb.server import kube_ovn_env
from isthmus.icdb.server.plan import Plan, Ports, database_servers, listen_of_member, parse_listen
from isthmus.icdb.server.preflight import has_ipv6
from isthmus.icdb.server.supervisor import serve
from isthmus.icdb.transit_switches.spec import DEFAULT, TransitSwitchSpec, parse_transit_switches
from isthmus.model.problems import Problem, Subject
from isthmus.pki.files import TlsFiles, check_files, check_member_files, expiring

KUBE_OVN_TLS = Path("/var/run/tls")
"""Where Kube-OVN's own containers mount their Secret."""

_log = logging.getLogger(__name__)

app = group("Operate the interconnection databases.")


@dataclass(frozen=True, kw_only=True)
class MembershipOptions:
    """Who the members are."""

    members: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST,…",
            envvar="NODE_IPS",
            help="All members of the cluster, including this one: IP addresses or host names."
            " Without it, the databases stand alone.",
        ),
    ] = None
    address: Annotated[
        str,
        typer.Option(
            metavar="HOST", envvar="LOCAL_IP", help="This member's host, as in --members."
        ),
    ] = ""
    founder: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            envvar="LEADER_IP",
            help="The bootstrap member: it creates the cluster if there is none. The same on all"
            " members.",
            show_default="the first of --members",
        ),
    ] = ""
    found_without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST,…",
            help="Members that never held data and are gone for good: the bootstrap member does not"
            " wait for them.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Where the servers listen, and how clients connect."""

    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="IP address to listen on for clients.",
            show_default="--address, or 127.0.0.1",
        ),
    ] = ""
    tls_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="ISTHMUS_TLS_DIR",
            help="Use only TLS, with tls.crt, tls.key and ca.crt in DIR (`isthmus pki issue"
            " member`), or Kube-OVN's cert, key and cacert.",
            show_default=f"{KUBE_OVN_TLS} with ENABLE_SSL=true",
        ),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Allow plain TCP, without certificates, on addresses that other machines reach"
            " (also ENABLE_SSL=false).",
        ),
    ] = False
    nb_port: NbPortOption = NB_PORT
    sb_port: SbPortOption = SB_PORT
    nb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Northbound members' TCP port.")
    ] = NB_RAFT_PORT
    sb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Southbound members' TCP port.")
    ] = SB_RAFT_PORT


@dataclass(frozen=True, kw_only=True)
class AuthorizationOptions(authz.PolicyOptions):
    """Who may write what."""

    authorize: Annotated[
        bool,
        typer.Option(
            "--authorize",
            envvar="ISTHMUS_AUTHORIZE",
            help="Let zones write only their own rows: clients connect to an authorizing proxy"
            " (isthmus ic-db authz) on the same ports. Needs --tls-dir, and with --members also"
            " members-ca.crt there.",
        ),
    ] = False
    guard: Annotated[
        bool, typer.Option("--guard", envvar="ISTHMUS_GUARD", hidden=True, help="Is --authorize.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(AuthorizationOptions, NetworkOptions, MembershipOptions, ServerOptions):
    """Options of `run`."""

    log_dir: Annotated[
        Path | None, typer.Option(help="Directory of logs.", show_default="that of --run-dir")
    ] = None
    transit_switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CIDR[,CIDR6][@NETWORK]",
            help="Transit switch to create, with its subnet and, if it serves custom VPCs instead"
            " of the default VPCs, with their network; repeatable.",
            show_default=f"{DEFAULT.name}={DEFAULT.subnet} if there is none yet",
        ),
    ] = None
    forget_zones_after: Annotated[
        int | None,
        typer.Option(
            "--prune-zones-after",
            "--forget-zones-after",  # the former name
            min=1,
            metavar="SECONDS",
            help="Prune zones whose last heartbeat is older than this (see isthmus zone prune).",
            show_default="never",
        ),
    ] = None


def run(options: RunOptions) -> None:
    """Serve the IC-NB and IC-SB databases in the foreground, until SIGTERM or Ctrl-C.

    Started again on the same data directory, it serves the same data. With --members it is a member
    of a cluster, whose members may start in any order. When both databases can be written, it
    prints their addresses and notifies systemd (NOTIFY_SOCKET).
    """
    log_to_stderr()
    for ignored in kube_ovn_env.without_effect(os.environ):
        _log.warning("%s", ignored)
    plan = _with_authorization(_plan(options), options)

    def on_ready(problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            _log.warning("%s", problem)
        addresses = ", ".join(f"{server.database} {server.address}" for server in plan.servers)
        print_lines(f"ready: {addresses}")
        notify_ready()

    serve(plan, on_ready)


for _action in (
    *(run, status, members.leave, members.kick, members.move_leader, members.compact),
    *(backup.backup, backup.restore, backup.upgrade, backup.check),
):
    app.command()(verb(_action))
app.add_typer(transit_switches.app, name="transit-switch")
app.command()(verb(authz.authz))
app.command("guard", hidden=True)(verb(authz.authz))  # the former name


def _plan(options: RunOptions) -> Plan:
    """What to run, without the authorizing proxy.

    Raises:
        CommandError: an option is invalid.
    """
    membership = _membership(options)
    listen, switches = _listen_and_switches(options, membership)
    plain = kube_ovn_env.ssl_disabled(os.environ)
    if isinstance(plain, Problem):
        raise CommandError(plain)
    log_dir = options.log_dir and options.log_dir.absolute()
    ports = Ports(options.nb_port, options.sb_port, options.nb_raft_port, options.sb_raft_port)
    tls = _tls_files(options.tls_dir)
    nb, sb = database_servers(replace(options.directories, log_dir=log_dir), listen, ports, tls)
    return Plan(
        nb,
        sb,
        transit_switches=switches or None,
        membership=membership,
        insecure=options.insecure or plain,
        prune_after=options.forget_zones_after,
    )


def _membership(options: MembershipOptions) -> Membership | None:
    membership, problems = parse_membership(
        options.members or (), options.address, options.founder, options.found_without or ()
    )
    raise_if_any(problems)
    return membership


def _listen_and_switches(
    options: RunOptions, membership: Membership | None
) -> tuple[IPv4Address | IPv6Address, tuple[TransitSwitchSpec, ...]]:
    """Where to listen, and the transit switches; flags take precedence over the environment."""
    if options.listen or membership is None:
        address = parse_listen(options.listen or "127.0.0.1")
    else:
        address = listen_of_member(membership.own, has_ipv6())
    switches, problems = (
        parse_transit_switches(options.transit_switch)
        if options.transit_switch
        else kube_ovn_env.transit_switches(os.environ)
    )
    if isinstance(address, Problem):
        raise CommandError(address, *problems)
    raise_if_any(problems)
    return address, switches


def _tls_files(directory: Path | None) -> TlsFiles | None:
    """The files to serve with; None for plain TCP.

    Raises:
        CommandError: no client could connect with them.
    """
    if directory is None and os.environ.get("ENABLE_SSL", "").strip().lower() == "true":
        directory = KUBE_OVN_TLS
    if directory is None:
        return None
    files = TlsFiles.in_directory(directory.absolute())
    now = datetime.datetime.now(datetime.UTC)
    raise_if_any(check_files(files, now, serves=True))
    for problem in expiring(files, now):
        _log.warning("%s", problem)
    return files


def _with_authorization(plan: Plan, options: AuthorizationOptions) -> Plan:
    options.policy()
    policy = options.flags()
    if not (options.authorize or options.guard):
        raise_if_any([_policy_without_authorize(policy[0])] if policy else [])
        return plan
    authorizing = with_authorization(plan, policy)
    if isinstance(authorizing, Problem):
        raise CommandError(authorizing)
    if authorizing.nb.tls is not None and authorizing.nb.members_ca is not None:
        raise_if_any(check_member_files(authorizing.nb.tls, datetime.datetime.now(datetime.UTC)))
    return authorizing


def _policy_without_authorize(flag: str) -> Problem:
    key, _, value = flag.partition("=")
    message = "has no effect without --authorize"
    return Subject("IC databases", key, value).problem(message, "add --authorize")

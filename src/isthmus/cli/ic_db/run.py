"""`isthmus ic-db`: the shared databases that clusters meet in."""

import datetime
import logging
import os
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

import typer

from isthmus.authz.plan import with_authorization
from isthmus.cli.common.errors import CommandError, raise_if_any
from isthmus.cli.common.groups import group
from isthmus.cli.common.logs import log_to_stderr
from isthmus.cli.common.notify import notify_ready
from isthmus.cli.ic_db import authz
from isthmus.cli.ic_db import backup as ic_db_backup
from isthmus.cli.ic_db import members as ic_db_members
from isthmus.icdb.errors import IcDbError
from isthmus.icdb.raft.member_file import load_member_file
from isthmus.icdb.raft.membership import MemberInput, Membership, parse_membership
from isthmus.icdb.server.kube_ovn_env import ssl_disabled
from isthmus.icdb.server.kube_ovn_env import transit_switches as switches_of_environment
from isthmus.icdb.server.plan import (
    NB_PORT,
    NB_RAFT_PORT,
    SB_PORT,
    SB_RAFT_PORT,
    Files,
    Plan,
    Ports,
    default_dirs,
    go_over,
    listen_of_member,
    make_plan,
    parse_listen,
)
from isthmus.icdb.server.preflight import has_ipv6
from isthmus.icdb.server.supervisor import serve
from isthmus.icdb.transit_switches.spec import DEFAULT, TransitSwitchSpec, parse_transit_switches
from isthmus.model.problems import Problem, Subject
from isthmus.pki.files import TlsFiles, check_files, check_member_files, expiring

SCHEMA_DIR = Path("/usr/share/ovn")

KUBE_OVN_TLS = Path("/var/run/tls")
"""Where Kube-OVN's own containers have their Secret."""

_log = logging.getLogger(__name__)
_DATA_DIR, _RUN_DIR = default_dirs(os.environ)

app = group()
ic_db_members.register(app)
ic_db_backup.register(app)
authz.register(app)


@app.callback()
def ic_db() -> None:
    """Serve the interconnection databases."""


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter per flag, and typer passes them by name
    data_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of the database files.", show_default="$OVN_DBDIR, or /var/lib/ovn"
        ),
    ] = Path(_DATA_DIR),
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of sockets, logs and pid files.",
            show_default="$OVN_RUNDIR, or /var/run/ovn",
        ),
    ] = Path(_RUN_DIR),
    log_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of logs.", show_default="that of --run-dir"),
    ] = None,
    members: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST,…",
            envvar="NODE_IPS",
            help="All members of the cluster, this one too: IP addresses or host names. Without,"
            " the databases stand alone.",
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(metavar="HOST", envvar="LOCAL_IP", help="This member, as in --members."),
    ] = "",
    founder: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            envvar="LEADER_IP",
            help="The member that makes the cluster, if there is none; the same for all.",
            show_default="the first of --members",
        ),
    ] = "",
    found_without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST,…",
            help="Members that never held anything and will not come: the founder does not wait"
            " for their answer.",
        ),
    ] = None,
    member_file: Annotated[
        Path | None,
        typer.Option(help="YAML file with `members`, `address`, `founder`; flags have precedence."),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="IP address to listen on for clients.",
            show_default="--address, or 127.0.0.1",
        ),
    ] = "",
    tls_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="ISTHMUS_TLS_DIR",
            help="Speak TLS alone, with tls.crt, tls.key and ca.crt in DIR (`isthmus pki issue"
            " member`), or Kube-OVN's cert, key and cacert.",
            show_default=f"{KUBE_OVN_TLS} with ENABLE_SSL=true",
        ),
    ] = None,
    from_clear_text: Annotated[
        bool,
        typer.Option(
            "--from-clear-text",
            help="Have members of a running cluster that talk in clear text go over to TLS, one"
            " after the other, once all have been started with this and --tls-dir.",
        ),
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Listen in plain TCP, without certificates, beyond this machine too"
            " (also ENABLE_SSL=false).",
        ),
    ] = False,
    nb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the northbound database.")
    ] = NB_PORT,
    sb_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the southbound database.")
    ] = SB_PORT,
    nb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the northbound cluster.")
    ] = NB_RAFT_PORT,
    sb_raft_port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the southbound cluster.")
    ] = SB_RAFT_PORT,
    transit_switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CIDR[,CIDR6][@NETWORK]",
            help="Transit switch to create, with its subnet, and with the network of custom VPCs"
            " that it serves instead of the default VPCs; repeatable.",
            show_default=f"{DEFAULT.name}={DEFAULT.subnet} if there is none yet",
        ),
    ] = None,
    schema_dir: Annotated[
        Path, typer.Option(help="Directory of OVN's database schemas.")
    ] = SCHEMA_DIR,
    authorize: Annotated[
        bool,
        typer.Option(
            "--authorize",
            envvar="ISTHMUS_AUTHORIZE",
            help="Let zones write only their own rows: clients connect to an authorizing proxy"
            " (isthmus ic-db authz) on the same ports. Needs --tls-dir, and with --members also"
            " members-ca.crt there.",
        ),
    ] = False,
    guard: Annotated[
        bool, typer.Option("--guard", envvar="ISTHMUS_GUARD", hidden=True, help="Is --authorize.")
    ] = False,
    operator: authz.OperatorOption = None,
    prefixes: authz.PrefixesOption = None,
    shared: authz.SharedOption = "",
    forget_zones_after: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Forget zones that gave no sign of life for so long (see isthmus zone prune).",
            show_default="never",
        ),
    ] = None,
) -> None:
    """Serve the IC-NB and IC-SB databases in the foreground, until SIGTERM or Ctrl-C.

    Started again on the same data directory, it comes back with its data. With --members, which
    may start in any order, it is one of a cluster. When both databases can be written to, it prints
    their addresses, and tells systemd (NOTIFY_SOCKET).
    """
    log_to_stderr()
    membership = _membership(
        MemberInput(tuple(members or ()), address, founder, tuple(found_without or ())), member_file
    )
    listen_on, switches = _parsed(listen, membership, transit_switch or [])
    plain = ssl_disabled(os.environ)
    if isinstance(plain, Problem):
        raise CommandError(plain)
    files = Files(
        data_dir.absolute(),
        run_dir.absolute(),
        schema_dir.absolute(),
        log_dir.absolute() if log_dir else None,
    )
    ports = Ports(nb_port, sb_port, nb_raft_port, sb_raft_port)
    tls = _tls(tls_dir)
    plan = make_plan(files, listen_on, ports, switches or None, membership, insecure or plain, tls)
    plan = replace(plan, forget_after=forget_zones_after)
    if from_clear_text:
        plan = go_over(plan)
    policy = authz.policy_flags(operator, prefixes, shared)
    plan = _with_authorization(plan, policy, wanted=authorize or guard)

    def on_ready(problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            _log.warning("%s", problem)
        _announce(plan)

    try:
        serve(plan, on_ready)
    except IcDbError as error:
        raise CommandError(*error.problems) from error


def _membership(given: MemberInput, file: Path | None) -> Membership | None:
    problems: list[Problem] = []
    if file is not None:
        in_file, problems = load_member_file(file)
        given = MemberInput(
            given.members or in_file.members,
            given.address or in_file.address,
            given.founder or in_file.founder,
            given.found_without,
        )
    membership, more = parse_membership(given)
    raise_if_any([*problems, *more])
    return membership


def _parsed(
    listen: str, membership: Membership | None, transit_switches: list[str]
) -> tuple[IPv4Address | IPv6Address, tuple[TransitSwitchSpec, ...]]:
    """Where to listen, and the transit switches; flags go before the environment."""
    if listen or membership is None:
        address = parse_listen(listen or "127.0.0.1")
    else:
        address = listen_of_member(membership.own, has_ipv6())
    switches, problems = (
        parse_transit_switches(transit_switches)
        if transit_switches
        else switches_of_environment(os.environ)
    )
    if isinstance(address, Problem):
        raise CommandError(address, *problems)
    raise_if_any(problems)
    return address, switches


def _with_authorization(plan: Plan, policy: tuple[str, ...], *, wanted: bool) -> Plan:
    if not wanted:
        raise_if_any([_policy_without_authorize(policy[0])] if policy else [])
        return plan
    guarded = with_authorization(plan, policy)
    if isinstance(guarded, Problem):
        raise CommandError(guarded)
    if guarded.nb.tls is not None and guarded.nb.members_ca is not None:
        raise_if_any(check_member_files(guarded.nb.tls, datetime.datetime.now(datetime.UTC)))
    return guarded


def _policy_without_authorize(flag: str) -> Problem:
    key, _, value = flag.partition("=")
    message = "has no effect without --authorize"
    return Subject("IC databases", key, value).problem(message, "add --authorize")


def _tls(directory: Path | None) -> TlsFiles | None:
    """The files to serve with; None for plain TCP.

    Raises:
        CommandError: nobody could be talked to with them.
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


def _announce(plan: Plan) -> None:
    typer.echo(f"ready: {plan.nb.database} {plan.nb.address}, {plan.sb.database} {plan.sb.address}")
    notify_ready()

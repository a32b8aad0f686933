"""The options of `ovn-ic`, as its start scripts and test harnesses give them (ovn-ic(8)).

Parsed with argparse, because options like `--pidfile[=FILE]` have optional values. Invariant: all
options of OVN 23.03's `ovn-ic` are accepted, and the newer ones that its scripts may pass.
"""

import argparse
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.output import print_lines
from isthmus.cli.options.run_dir import run_dir
from isthmus.cli.options.tls import tls_of
from isthmus.model.bounds import ROUTES, ROUTES_PER_ZONE
from isthmus.model.problems import Subject
from isthmus.model.route_rules import RouteLimits
from isthmus.model.rows import Database
from isthmus.model.text import failure_text, quoted
from isthmus.ovsdb.daemonize import Daemon
from isthmus.ovsdb.streams.tls import Tls

PROGRAM = "ovn-ic"
OVN_RELEASE = "26.03.0"
"""The release of OVN whose `ovn-ic` this verb replaces; callers compare it with the last word of
the first line of `--version`."""

VERSION = f"{PROGRAM} {OVN_RELEASE}\nIsthmus {version('isthmus')}, in place of OVN's {PROGRAM}\n"

_DATABASES = (
    (Database.NB, ("-D", "--ovnnb-db"), "OVN_NB_DB", "ovnnb_db", "ovn-nb"),
    (Database.SB, ("-d", "--ovnsb-db"), "OVN_SB_DB", "ovnsb_db", "ovn-sb"),
    (Database.IC_NB, ("-I", "--ic-nb-db"), "OVN_IC_NB_DB", "ovn_ic_nb_db", "ovn-ic-nb"),
    (Database.IC_SB, ("-i", "--ic-sb-db"), "OVN_IC_SB_DB", "ovn_ic_sb_db", "ovn-ic-sb"),
)


_SWITCH: dict[str, Any] = {"action": "store_true"}
_OPTIONAL_FILE: dict[str, Any] = {"nargs": "?", "const": "", "metavar": "FILE"}


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options.

    Args:
        unixctl: the control socket's path; empty for none, None for the default.
        log_specs: levels and patterns, in the order given.
        log_file: the log file's path, or empty.
        syslog_method, syslog_target: the values of the options with these names.
        limits: how many routes are considered for learning.
    """

    remotes: dict[Database, str]
    daemon: Daemon
    unixctl: str | None
    tls: Tls | None
    log_specs: tuple[str, ...]
    log_file: str
    syslog_method: str
    syslog_target: str
    limits: RouteLimits


class _Parser(argparse.ArgumentParser):
    """A parser whose errors exit with status 1, as those of OVN's daemons do."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        self.exit(1, f"{PROGRAM}: {message}; use --help for usage\n")


class _PrintOptions(argparse.Action):
    """`--options`: prints all options, for shell completion."""

    def __call__(self, parser: argparse.ArgumentParser, *_more: object) -> None:
        for action in parser._actions:  # noqa: SLF001 - argparse offers no other list of them
            value = "" if action.nargs == 0 else "=[ARG]" if action.nargs == "?" else "=ARG"
            for name in action.option_strings:
                print_lines(name + value)
        parser.exit()


def _log_dir() -> Path:
    # ovn-ic itself reads only OVS_LOGDIR; its start script passes OVN_LOGDIR.
    return Path(os.environ.get("OVN_LOGDIR") or os.environ.get("OVS_LOGDIR") or "/var/log/ovn")


def parser() -> argparse.ArgumentParser:
    """The parser of all options."""
    found = _Parser(
        prog=PROGRAM,
        description="OVN interconnection daemon: Isthmus's engine in place of ovn-ic.",
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of --version
    )
    _add_databases(found)
    _add_daemon(found)
    _add_logging(found)
    _add_tls(found)
    _add_limits(found)
    flag = found.add_argument_group("Other options").add_argument
    flag("--unixctl", "-u", metavar="SOCKET", help="override control socket name")
    flag("-h", "--help", action="help", help="display this help message")
    flag("-o", "--options", action=_PrintOptions, nargs=0, help="list all options")
    flag("-V", "--version", action="version", version=VERSION, help="display version information")
    return found


def _add_databases(found: argparse.ArgumentParser) -> None:
    flag = found.add_argument_group("Databases").add_argument
    for database, names, variable, socket, name in _DATABASES:
        default = os.environ.get(variable) or f"unix:{run_dir()}/{socket}.sock"
        text = f"connect to {name} database at DATABASE (default: {default})".replace("%", "%%")
        flag(*names, dest=database.name, metavar="DATABASE", default=default, help=text)


def _add_daemon(found: argparse.ArgumentParser) -> None:
    flag = found.add_argument_group("Daemon options").add_argument
    flag("--detach", **_SWITCH, help="run in background as daemon")
    flag("--monitor", **_SWITCH, help="create a process to monitor this daemon")
    flag("--user", default="", metavar="USER[:GROUP]", help="run as this user")
    flag("--no-chdir", **_SWITCH, help="do not chdir to '/'")
    flag("--no-self-confinement", **_SWITCH, help="accepted for compatibility; no effect")
    pidfile = f"create pidfile (default: {run_dir()}/{PROGRAM}.pid)".replace("%", "%%")
    flag("--pidfile", **_OPTIONAL_FILE, help=pidfile)
    flag("--overwrite-pidfile", **_SWITCH, help="with --pidfile, start even if already running")


def _add_logging(found: argparse.ArgumentParser) -> None:
    flag = found.add_argument_group("Logging options").add_argument
    levels: dict[str, Any] = {"nargs": "?", "action": "append", "const": "any:any:dbg"}
    text = "set logging levels; without SPEC, maximum verbosity"
    flag("-v", "--verbose", default=[], **levels, metavar="SPEC", help=text)
    log_file = f"log to FILE as well (default: {_log_dir()}/{PROGRAM}.log)".replace("%", "%%")
    flag("--log-file", **_OPTIONAL_FILE, help=log_file)
    method = os.environ.get("OVS_SYSLOG_METHOD") or "libc"
    methods, text = "libc|null|unix:FILE|udp:IP:PORT", "how to send messages to the syslog daemon"
    flag("--syslog-method", default=method, metavar=methods, help=text)
    flag("--syslog-target", default="", metavar="HOST:PORT", help="also send syslog msgs there")


def _add_tls(found: argparse.ArgumentParser) -> None:
    group = found.add_argument_group("TLS (required to use ssl: databases)")
    for names, metavar, text in (
        ("-p --private-key", "FILE", "file with private key"),
        ("-c --certificate", "FILE", "certificate for private key"),
        ("-C --ca-cert", "FILE", "file with peer CA certificate"),
        ("--bootstrap-ca-cert", "FILE", "as --ca-cert; must exist, is never fetched from a peer"),
        ("--ssl-protocols", "PROTOS", "list of TLS protocols to enable"),
        ("--ssl-ciphers", "CIPHERS", "ciphers for TLS 1.2"),
        ("--ssl-ciphersuites", "SUITES", "no effect; TLS 1.3 uses OpenSSL's defaults"),
        ("--ssl-server-name", "NAME", "server name to ask for (SNI)"),
    ):
        group.add_argument(*names.split(), default="", metavar=metavar, help=text)


def _add_limits(found: argparse.ArgumentParser) -> None:
    flag = found.add_argument_group(
        "Limits of Isthmus, which OVN's ovn-ic does not have"
    ).add_argument
    for name, bound, whose in (
        ("--max-routes-per-zone", ROUTES_PER_ZONE, "each zone"),
        ("--max-routes", ROUTES, "all zones"),
    ):
        text = f"routes of {whose} that are considered for learning (default: {bound.most})"
        flag(name, type=_number, default=bound.most, metavar="NUMBER", help=text)


def _number(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 10 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number from 1 to 999999999")


def parse(arguments: list[str]) -> Options:
    """Parse a command line.

    Raises:
        CommandError: the TLS options are incomplete or invalid.
        SystemExit: after --help and the like, and after a wrong option.
    """
    found = parser().parse_args(arguments)
    remotes = {database: getattr(found, database.name) for database, *_ in _DATABASES}
    daemon = Daemon(
        PROGRAM,
        str(run_dir()),
        pidfile=found.pidfile,
        overwrite_pidfile=found.overwrite_pidfile,
        detach=found.detach,
        monitor=found.monitor,
        chdir=not found.no_chdir,
        user=found.user,
    )
    file = found.log_file
    return Options(
        remotes,
        daemon,
        unixctl=_control_path(found.unixctl),
        tls=_tls(found),
        log_specs=tuple(found.verbose),
        log_file="" if file is None else str(_log_dir() / (file or f"{PROGRAM}.log")),
        syslog_method=found.syslog_method,
        syslog_target=found.syslog_target,
        limits=RouteLimits(found.max_routes_per_zone, found.max_routes),
    )


def _control_path(given: str | None) -> str | None:
    """The socket's path; None for the default, whose name needs the daemon's process id."""
    if given == "none":
        return ""
    return given and str(run_dir() / given)


def _tls(found: argparse.Namespace) -> Tls | None:
    ca_cert = found.ca_cert or found.bootstrap_ca_cert
    if found.bootstrap_ca_cert and not Path(ca_cert).exists():
        message = "does not exist, and is never fetched from a peer"
        remedy = "copy the CA's certificate to this file over a trusted channel"
        subject = Subject(f"command {PROGRAM}", "--bootstrap-ca-cert", ca_cert)
        raise CommandError(subject.problem(message, remedy))
    tls = tls_of(PROGRAM, found.private_key, found.certificate, ca_cert)
    try:
        return tls and replace(
            tls,
            protocols=found.ssl_protocols,
            ciphers=found.ssl_ciphers,
            server_name=found.ssl_server_name,
        )
    except ValueError as error:
        subject = Subject(f"command {PROGRAM}", "--ssl-protocols", found.ssl_protocols)
        remedy = "give versions such as TLSv1.2,TLSv1.3"
        raise CommandError(subject.problem(failure_text(error), remedy)) from error

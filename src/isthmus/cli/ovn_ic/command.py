"""`isthmus ovn-ic`: only the engine, as a drop-in replacement for OVN's `ovn-ic`.

Also runs when the program is started through a link or script named `ovn-ic`; the whole command
line is then that of ovn-ic. Start scripts, `ovn-appctl -t ovn-ic` and test harnesses find the same
pidfile, socket, log file and command names.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from isthmus.cli.common.errors import CommandError
from isthmus.cli.common.notify import notify_ready
from isthmus.cli.options.run_dir import run_dir
from isthmus.cli.ovn_ic.options import PROGRAM, VERSION, Options, parse
from isthmus.daemon.service import Settings, engine_alone
from isthmus.daemon.unixctl_commands import log_commands, version_command
from isthmus.daemon.vlog import DaemonLog
from isthmus.model.problems import Subject
from isthmus.model.text import failure_text
from isthmus.ovsdb.daemonize import RESTART_STATUS
from isthmus.ovsdb.ovs_patches.logging import forward_to_logging
from isthmus.ovsdb.streams.unix import require_private
from isthmus.ovsdb.unixctl import ControlServer

_log = logging.getLogger(__name__)

_PRIVATE = "use a directory that only this user can write to"


class verb(TyperCommand):  # noqa: N801 - named as verbs are
    """Passes the command line on unchanged, because typer cannot parse ovn-ic's options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep all arguments for `invoke`."""
        ctx.args = list(args)
        return []

    def invoke(self, ctx: Any) -> None:
        """Run the daemon."""
        main(ctx.args)


def main(arguments: list[str]) -> None:
    """Run until SIGTERM, or the control command `exit`.

    Args:
        arguments: the command line without the name of the program.

    Raises:
        CommandError: the options are invalid, or a resource cannot be used.
        SystemExit: after help, and in the parent of a detached daemon.
    """
    options = parse(arguments)
    _become_user(options)
    log = _start_log(options)
    # A write to a closed connection must be an error on its socket, not end the process.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _check_pidfile(options)
    options.daemon.start()
    try:
        _serve(options, log)
    except CommandError:
        raise
    except Exception:
        _log.exception("unexpected error; please report this bug")
        if not options.daemon.monitor:
            raise
        # The monitor restarts the process, as after a crash.
        sys.exit(RESTART_STATUS)


def _serve(options: Options, log: DaemonLog) -> None:
    control = _control(options)
    if control is not None:
        control.register(version_command(VERSION), *log_commands(log))
    options.daemon.complete()
    if options.daemon.detach:
        # A detached daemon has no terminal.
        log.set("any:console:off")
    if options.tls is not None:
        options.tls.use()
    loop = engine_alone(Settings(options.remotes, limits=options.limits), control)
    loop.run(notify_ready, frozenset(options.remotes))


def _start_log(options: Options) -> DaemonLog:
    log = DaemonLog(PROGRAM, forward_to_logging())
    log.install()
    try:
        for spec in options.log_specs:
            log.set(spec)
        log.use_syslog(options.syslog_method, options.syslog_target)
        if options.log_file:
            log.open_file(Path(options.log_file))
    except (ValueError, OSError) as error:
        raise _refused("logging options", error, "see the logging options of --help") from error
    return log


def _become_user(options: Options) -> None:
    # Scripts look for a process named ovn-ic, but the kernel may have the interpreter's name. After
    # the change of user, the name can no longer be set.
    Path("/proc/self/comm").write_text(PROGRAM, encoding="ascii")
    try:
        options.daemon.become_user()
    except (LookupError, PermissionError) as error:
        raise _refused("--user", error, "give a user that exists, and start as root") from error


def _check_pidfile(options: Options) -> None:
    daemon = options.daemon
    if daemon.pidfile is None:
        return
    try:
        require_private(Path(daemon.run_dir, daemon.pidfile or PROGRAM).parent)
    except OSError as error:
        raise _refused("--pidfile", error, _PRIVATE) from error


def _control(options: Options) -> ControlServer | None:
    if options.unixctl == "":
        return None
    path = options.unixctl or str(run_dir() / f"{PROGRAM}.{os.getpid()}.ctl")
    try:
        return ControlServer(path)
    except OSError as error:
        raise _refused("--unixctl", error, _PRIVATE) from error


def _refused(key: str, error: Exception, remedy: str) -> CommandError:
    return CommandError(Subject(f"command {PROGRAM}", key).problem(failure_text(error), remedy))

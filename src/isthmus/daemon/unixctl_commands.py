"""The control commands of `ovn-ic` (ovn-ic(8), "Runtime Management Commands").

Registered by the composition root on the control socket; other parts add theirs in the same way.
"""

import resource
from collections.abc import Callable, Sequence

from isthmus.daemon.loop import Loop
from isthmus.daemon.sessions import DatabaseSessions
from isthmus.daemon.vlog import DaemonLog
from isthmus.model.rows import Database
from isthmus.ovsdb.unixctl import Command
from isthmus.ovsdb.unixctl_client import CommandFailedError

_CONNECTIONS = {
    "nb-connection-status": Database.NB,
    "sb-connection-status": Database.SB,
    "ic-nb-connection-status": Database.IC_NB,
    "ic-sb-connection-status": Database.IC_SB,
}


def process_commands(loop: Loop, sessions: DatabaseSessions) -> list[Command]:
    """Stop, pause and inspect the process.

    `pause` releases the lock and stops writing; the daemon still follows the databases.
    """

    def connection(database: Database) -> Callable[[Sequence[str]], str]:
        return lambda _: "connected" if sessions.connected(database) else "not connected"

    return [
        Command("exit", _silent(lambda: loop.stop("control command exit"))),
        Command("pause", _silent(sessions.pause)),
        Command("resume", _silent(sessions.resume)),
        Command("is-paused", lambda _: "true" if sessions.paused else "false"),
        Command("status", lambda _: f"Status: {loop.status}"),
        Command("memory/show", lambda _: f"peak-rss-kb:{_peak_memory()}"),
        *(Command(name, connection(database)) for name, database in _CONNECTIONS.items()),
    ]


def version_command(text: str) -> Command:
    """`version`: the same text as `--version`."""
    return Command("version", lambda _: text)


def log_commands(log: DaemonLog) -> list[Command]:
    """`vlog/*`, as far as it makes sense: nothing limits the rate of messages here."""
    return [
        Command(
            "vlog/set",
            lambda specs: _set(log, specs),
            "{spec | PATTERN:destination:pattern}",
            1,
            None,
        ),
        Command("vlog/list", lambda _: log.levels()),
        Command("vlog/list-pattern", lambda _: log.patterns()),
        Command("vlog/reopen", lambda _: _reopen(log)),
        Command("vlog/close", _silent(log.close_file)),
        Command("vlog/disable-rate-limit", lambda _: "", "[module]...", 0, None),
    ]


def _set(log: DaemonLog, specs: Sequence[str]) -> str:
    try:
        for spec in specs:
            log.set(spec)
    except ValueError as error:
        raise CommandFailedError(str(error)) from error
    return ""


def _reopen(log: DaemonLog) -> str:
    try:
        log.reopen_file()
    except (OSError, ValueError) as error:
        raise CommandFailedError(str(error)) from error
    return ""


def _silent(action: Callable[[], None]) -> Callable[[Sequence[str]], str]:
    """A command without arguments and without output."""

    def run(_arguments: Sequence[str]) -> str:
        action()
        return ""

    return run


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

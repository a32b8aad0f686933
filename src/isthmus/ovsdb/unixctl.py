"""The server of the control socket for `ovn-appctl` and `ovs-appctl` (ovs-appctl(8)).

An event source of the daemon's loop. The composition root registers the commands. A reply is sent
at once, so that a client of `exit` gets it before the process exits. Invariant: a bad request is
answered and never stops the daemon. `ovs.unixctl.server` parses the requests; its own dispatch has
faults (docs/decisions/0016-ovs-python-library.md).
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import ovs.fatal_signal
import ovs.jsonrpc
import ovs.stream
import ovs.unixctl.server

from isthmus.model.problems import Problem
from isthmus.model.text import failure_text, printable_text
from isthmus.ovsdb.poller import Poller
from isthmus.ovsdb.streams.unix import ACCEPT_RETRY, SHORTAGE, ShortageLog, private_socket
from isthmus.ovsdb.unixctl_client import CommandFailedError

_log = logging.getLogger("ovs.unixctl")

_BATCH = 10
"""Clients accepted per turn of the loop, so that they cannot block the daemon."""


@dataclass(frozen=True, slots=True)
class Command:
    """A control command.

    Args:
        name: as typed, e.g. "is-paused".
        run: takes the arguments and returns the reply. A `CommandFailedError`, `ValueError` or
            `OSError` becomes an error reply.
        usage: the arguments, for `list-commands`.
        least, most: the number of arguments; `most` None is any number.
    """

    name: str
    run: Callable[[Sequence[str]], str]
    usage: str = ""
    least: int = 0
    most: int | None = 0


class ControlServer:
    """Listens on a socket and executes commands.

    Args:
        path: absolute path of the socket; an existing one is replaced.

    Raises:
        OSError: the socket cannot be created, or its directory is not private.
    """

    def __init__(self, path: str) -> None:
        self._listener = ovs.stream.PassiveStream(private_socket(Path(path)), path, path)
        ovs.fatal_signal.add_file_to_unlink(path)
        self._shortage = ShortageLog(_log, "control connections")
        self._resume = -inf
        self._connections: list[_ControlConnection] = []
        self._commands: dict[str, Command] = {}
        self.register(Command("list-commands", lambda _arguments: self._listing()))

    def register(self, *commands: Command) -> None:
        """Add commands; a later one replaces an earlier one of the same name."""
        for command in commands:
            self._commands[command.name] = command

    def run(self, now: float) -> None:
        """Accept clients and execute their commands."""
        for _ in range(_BATCH):
            error, stream = self._listener.accept()
            if error:
                if error in SHORTAGE:
                    self._resume = now + ACCEPT_RETRY
                    self._shortage.report(OSError(error, os.strerror(error)), now)
                break
            rpc = ovs.jsonrpc.Connection(stream)
            self._connections.append(_ControlConnection(rpc, self._execute))
        for connection in tuple(self._connections):
            if connection.run():
                connection._close()  # noqa: SLF001 - meant for the package's own server
                self._connections.remove(connection)

    def problems(self) -> Sequence[Problem]:
        """None: errors are replies to the client."""
        return ()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake when a client connects or sends a request."""
        if now < self._resume:
            poller.wake_in(self._resume - now)
        else:
            self._listener.wait(poller.raw)
        for connection in self._connections:
            connection._wait(poller.raw)  # noqa: SLF001 - meant for the package's own server

    def close(self) -> None:
        """Close all connections and remove the socket."""
        for connection in self._connections:
            connection._close()  # noqa: SLF001 - meant for the package's own server
        self._connections.clear()
        self._listener.close()

    def _execute(self, name: str, arguments: Sequence[str]) -> str:
        command = self._commands.get(name)
        if command is None:
            raise CommandFailedError(
                f'"{name}" is not a valid command (use "list-commands" to see a list of valid'
                " commands)"
            )
        if len(arguments) < command.least:
            raise CommandFailedError(
                f'"{name}" command requires at least {command.least} arguments'
            )
        if command.most is not None and len(arguments) > command.most:
            raise CommandFailedError(f'"{name}" command takes at most {command.most} arguments')
        return command.run(arguments)

    def _listing(self) -> str:
        lines = [f"  {name:<23} {self._commands[name].usage}" for name in sorted(self._commands)]
        return "\n".join(["The available commands are:", *lines]) + "\n"


class _ControlConnection(ovs.unixctl.server.UnixctlConnection):
    """The package's connection, with the commands of one server and not of the whole process."""

    def __init__(self, rpc: Any, execute: Callable[[str, Sequence[str]], str]) -> None:
        super().__init__(rpc)
        self._execute = execute

    def run(self) -> bool:
        """Process requests; True once the client has disconnected."""
        error = super().run()
        return bool(error) and error != ovs.unixctl.server.errno.EAGAIN

    def _process_command(self, request: Any) -> None:
        self._request_id = request.id
        arguments = request.params
        try:
            if not all(isinstance(argument, str) for argument in arguments):
                raise CommandFailedError(f'"{request.method}" command has non-string argument')
            _log.debug("received request %s%s", request.method, arguments)
            reply = self._execute(request.method, arguments)
        except (CommandFailedError, ValueError, OSError) as error:
            self.reply_error(f"{failure_text(error)}\n")
        else:
            text = printable_text(reply)
            self.reply(text if text.endswith("\n") or not text else f"{text}\n")

"""Log as the daemons of OVS and OVN do: destinations, levels per module, patterns.

`isthmus ovn-ic` installs one `DaemonLog` as the only handler of Python's logging before anything is
logged; the control commands `vlog/*` change it at run time. Options and formats are those of
ovs-appctl(8) and ovs-vswitchd(8); `ovs.vlog` differs from them
(docs/decisions/0016-ovs-python-library.md). Invariant: a record that no destination accepts costs
no more than Python's own check of levels.
"""

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterable
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import TextIO

from isthmus.model.text import indented, printable

DESTINATIONS = ("console", "syslog", "file")
LEVELS = {
    "off": logging.CRITICAL + 1,
    "emer": logging.CRITICAL,
    "err": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "dbg": logging.DEBUG,
}
OWN_MODULE = "ovn_ic"
"""The module of all messages of Isthmus, named like the main module of `ovn-ic`."""

_ACCEPTED = ("inc_proc_eng", "memory", "ovn_util", "ovsdb_cs", "ovsdb_idl", "poll_loop", "timeval")
"""Modules of `ovn-ic` that log nothing here; scripts may set their levels nevertheless."""

_PATTERNS = {
    "console": "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
    "syslog": "ovs|%05N|%c%T|%p|%m",
    "file": "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
}
_FIELD = re.compile(r"%-?(0?)(\d*)(?:([dD])(?:\{([^}]*)\})?|([A-Za-z%]))")


def module_of(logger: str) -> str:
    """The module of a logger: NAME for "ovs.NAME" (the `ovs` package), else `OWN_MODULE`."""
    package, _, name = logger.partition(".")
    return name if package == "ovs" else OWN_MODULE


class DaemonLog(logging.Handler):
    """Console, syslog and file, each with a level per module.

    Args:
        program: the name in syslog and in patterns.
        modules: the modules that have levels, in addition to those of `ovn-ic`.
    """

    def __init__(self, program: str, modules: Iterable[str]) -> None:
        super().__init__()
        self._program = program
        self._patterns = dict(_PATTERNS)
        names = sorted({OWN_MODULE, "vlog", *_ACCEPTED, *modules})
        self._levels = {name: dict.fromkeys(DESTINATIONS, "info") for name in names}
        self._file: TextIO | None = None
        self._path: Path | None = None
        self._syslog: list[SysLogHandler] = []
        self._number = 0

    def install(self) -> None:
        """Become the only handler of Python's logging."""
        logging.getLogger().handlers[:] = [self]
        # An unreachable syslog server must not fill the console with tracebacks.
        logging.raiseExceptions = False
        self._adjust()

    def use_syslog(self, method: str, target: str = "") -> None:
        """Send messages to syslog.

        Args:
            method: "libc" (if /dev/log exists), "null", "unix:FILE" or "udp:IP:PORT".
            target: HOST:PORT of a second syslog server; empty for none.

        Raises:
            ValueError: the method or the target is malformed.
        """
        if method == "libc":
            method = "unix:/dev/log" if Path("/dev/log").exists() else "null"
        kind, _, address = method.partition(":")
        if kind == "unix":
            self._add_syslog(address)
        elif kind == "udp":
            self._add_syslog(_host_and_port(address))
        elif method != "null":
            raise ValueError(f"{method}: unknown syslog method; use libc, null, unix: or udp:")
        if target:
            self._add_syslog(_host_and_port(target))

    def open_file(self, path: Path) -> None:
        """Log to a file as well, appending to it.

        Raises:
            OSError: it cannot be opened; the current file stays open.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o640)
        self.close_file()
        self._file, self._path = os.fdopen(descriptor, "a", encoding="utf-8"), path
        logging.getLogger("ovs.vlog").info("opened log file %s", path)

    def reopen_file(self) -> None:
        """Open the file again, after it was moved away.

        Raises:
            ValueError: no file is configured.
            OSError: it cannot be opened.
        """
        if self._path is None:
            raise ValueError("Logging to file not configured")
        self.open_file(self._path)

    def close_file(self) -> None:
        """Stop writing to the file until it is reopened."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def set(self, spec: str) -> None:
        """Change levels or a pattern.

        Args:
            spec: module, destination and level in any order, separated by blanks, colons or
                commas, each at most once; or "PATTERN:DESTINATION:PATTERN".

        Raises:
            ValueError: the specification is malformed; the text is that of ovs-appctl.
        """
        words = [word for word in re.split(r"[\s:,]+", spec) if word]
        match [word.lower() for word in words]:
            case ["pattern", destination, _, *_]:
                pattern = spec.split(":", 2)[-1]
                self._patterns.update(dict.fromkeys(_destinations(destination), pattern))
            case _:
                self._set_levels(words)
        self._adjust()

    def levels(self) -> str:
        """The output of `vlog/list`."""
        lines = [
            "                 console    syslog    file",
            "                 -------    ------    ------",
        ]
        for module, levels in self._levels.items():
            console, syslog, file = (levels[name].upper() for name in DESTINATIONS)
            lines.append(f"{module:<16}  {console:>4}       {syslog:>4}       {file:>4}")
        return "\n".join(lines) + "\n"

    def patterns(self) -> str:
        """The output of `vlog/list-pattern`."""
        lines = ["         format", "         ------"]
        lines += [f"{name.upper():<8} {pattern}" for name, pattern in self._patterns.items()]
        return "\n".join(lines) + "\n"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to every destination that accepts its level."""
        levels = self._levels.get(module_of(record.name), self._levels[OWN_MODULE])
        accepting = [name for name in DESTINATIONS if record.levelno >= LEVELS[levels[name]]]
        if not accepting:
            return
        self._number += 1
        message = printable(record.getMessage())
        if record.exc_info:
            message += "\n" + indented(logging.Formatter().formatException(record.exc_info))
        for name in accepting:
            self._write(name, self._format(self._patterns[name], record, message), record)

    def _write(self, destination: str, line: str, record: logging.LogRecord) -> None:
        stream = sys.stderr if destination == "console" else self._file
        try:
            if destination == "syslog":
                for handler in self._syslog:
                    handler.emit(logging.makeLogRecord({"levelno": record.levelno, "msg": line}))
            elif stream is not None:
                stream.write(line + "\n")
                stream.flush()
        except OSError:
            pass  # a full disk must not stop the daemon, and cannot be reported

    def _format(self, pattern: str, record: logging.LogRecord, message: str) -> str:
        values = {
            "A": self._program,
            "c": module_of(record.name),
            "E": socket.gethostname(),
            "m": message,
            "N": str(self._number),
            "n": "\n",
            "p": next(name.upper() for name, level in LEVELS.items() if record.levelno >= level),
            "P": str(os.getpid()),
            "r": str(int(record.relativeCreated)),
            "t": "main",
            "%": "%",
        }

        def field(match: re.Match[str]) -> str:
            zero, width, date, date_format, letter = match.groups()
            if date:
                return _date(record.created, date_format or "%Y-%m-%d %H:%M:%S", utc=date == "D")
            value = values.get(letter, "")
            return value.rjust(int(width), "0" if zero else " ") if width else value

        return _FIELD.sub(field, pattern)

    def _set_levels(self, words: Iterable[str]) -> None:
        found: dict[str, str] = {}
        for word in words:
            kind = self._kind(word)
            if kind and found.setdefault(kind, word) != word:
                raise ValueError(f"cannot specify multiple {kind}s")
        modules = [found["module"].replace("-", "_")] if "module" in found else [*self._levels]
        level = found.get("level", "dbg").lower()
        destinations = _destinations(found.get("destination", "any"))
        for module in modules:
            self._levels[module].update(dict.fromkeys(destinations, level))

    def _kind(self, word: str) -> str:
        """The kind of a word in a specification; empty for "any"."""
        kinds = {
            "any": "",
            **dict.fromkeys(DESTINATIONS, "destination"),
            **dict.fromkeys(LEVELS, "level"),
        }
        if word.replace("-", "_") in self._levels:
            return "module"
        if word.lower() not in kinds:
            raise ValueError(f'no destination, level, or module "{word}"')
        return kinds[word.lower()]

    def _add_syslog(self, address: str | tuple[str, int]) -> None:
        handler = SysLogHandler(address, facility=SysLogHandler.LOG_DAEMON)
        handler.ident = f"{self._program}: "
        self._syslog.append(handler)

    def _adjust(self) -> None:
        """Let Python's logging discard what no destination accepts."""
        lowest = min(LEVELS[level] for levels in self._levels.values() for level in levels.values())
        logging.getLogger().setLevel(lowest)


def _destinations(name: str) -> tuple[str, ...]:
    """The destinations that a name stands for; "any" stands for all."""
    if name.lower() == "any":
        return DESTINATIONS
    if name.lower() not in DESTINATIONS:
        raise ValueError(f"destination {name} does not exist")
    return (name.lower(),)


def _date(moment: float, date_format: str, *, utc: bool) -> str:
    text = time.strftime(date_format, time.gmtime(moment) if utc else time.localtime(moment))
    fraction = f"{moment % 1:.9f}"[2:]
    return re.sub("#+", lambda match: fraction[: len(match[0])], text)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{text}: not HOST:PORT")
    return host.strip("[]"), int(port)

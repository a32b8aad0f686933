"""Logging like OVS: levels, patterns, destinations."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.daemon.vlog import DaemonLog, module_of


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DaemonLog]:
    """A log to a file, in place of the tests' own handlers."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    found = DaemonLog("ovn-ic", ["reconnect", "jsonrpc"])
    found.install()
    found.set("console:off")
    found.open_file(tmp_path / "ovn-ic.log")
    yield found
    found.close_file()
    root.handlers[:], logging.raiseExceptions = before[0], before[2]
    root.setLevel(before[1])


def lines(tmp_path: Path) -> list[str]:
    """The lines of the file, without the one about opening it."""
    return (tmp_path / "ovn-ic.log").read_text().splitlines()[1:]


def test_the_default_is_info(log: DaemonLog, tmp_path: Path) -> None:
    """INFO and above is logged with time, number, module and level."""
    logging.getLogger("isthmus.daemon.loop").info("active")
    logging.getLogger("ovs.reconnect").warning("%s: gone", "tcp:1")
    logging.getLogger("isthmus.daemon.loop").debug("details")
    first, second = lines(tmp_path)
    assert re.fullmatch(r"[-\d]{10}T[:\d]{8}\.\d{3}Z\|00002\|ovn_ic\|INFO\|active", first)
    assert second.endswith("|00003|reconnect|WARN|tcp:1: gone")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("dbg", {"ovn_ic": "DBG", "reconnect": "DBG"}),
        ("reconnect:file:err", {"ovn_ic": "INFO", "reconnect": "ERR"}),
        ("file:ovn_ic:warn", {"ovn_ic": "WARN", "reconnect": "INFO"}),
        ("any:any:off", {"ovn_ic": "OFF", "reconnect": "OFF"}),
        ("reconnect", {"ovn_ic": "INFO", "reconnect": "DBG"}),
        ("syslog:dbg", {"ovn_ic": "INFO", "reconnect": "INFO"}),
    ],
)
def test_levels_are_set(log: DaemonLog, spec: str, expected: dict[str, str]) -> None:
    """Module, destination and level come in any order; the defaults are any, any and dbg."""
    log.set(spec)
    rows = [line.split() for line in log.levels().splitlines()[2:]]
    assert expected.items() <= {row[0]: row[3] for row in rows}.items()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("loud", 'no destination, level, or module "loud"'),
        ("info:dbg", "cannot specify multiple levels"),
        ("file:console", "cannot specify multiple destinations"),
        ("PATTERN:tape:%m", "destination tape does not exist"),
    ],
)
def test_bad_specifications_are_refused(log: DaemonLog, spec: str, message: str) -> None:
    """Malformed specifications are errors with ovs-appctl's texts and change nothing."""
    before = log.levels(), log.patterns()
    with pytest.raises(ValueError, match=message):
        log.set(spec)
    assert (log.levels(), log.patterns()) == before


def test_patterns_are_set(log: DaemonLog, tmp_path: Path) -> None:
    """Lines have the form of their destination's pattern."""
    log.set("PATTERN:file:%A %4N %p [%c] %m%%%T")
    logging.getLogger("isthmus.x").error("a: b")
    assert lines(tmp_path) == ["ovn-ic    2 ERR [ovn_ic] a: b%"]
    assert "FILE     %A %4N %p [%c] %m%%%T" in log.patterns()


def test_an_exception_is_logged_with_its_trace(log: DaemonLog, tmp_path: Path) -> None:
    """Exceptions are logged with their traceback, indented: no line looks like a record."""
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError:
        logging.getLogger("isthmus.x").exception("a bug")
    assert lines(tmp_path)[-1] == "  ZeroDivisionError: oops"


def test_unwanted_records_are_discarded_early(log: DaemonLog) -> None:
    """Python's own level is the lowest that any destination accepts."""
    assert not logging.getLogger("isthmus.x").isEnabledFor(logging.DEBUG)
    log.set("reconnect:file:dbg")
    assert logging.getLogger("isthmus.x").isEnabledFor(logging.DEBUG)
    log.set("off")
    assert not logging.getLogger("isthmus.x").isEnabledFor(logging.CRITICAL)


def test_closed_and_reopened(log: DaemonLog, tmp_path: Path) -> None:
    """A closed file is not written to until it is reopened."""
    log.close_file()
    logging.getLogger("isthmus.x").error("not logged")
    log.reopen_file()
    logging.getLogger("isthmus.x").error("logged")
    assert [line.rsplit("|", 1)[1] for line in lines(tmp_path)][1:] == ["logged"]


def test_without_a_file_there_is_nothing_to_reopen() -> None:
    """Reopening without a log file is an error."""
    with pytest.raises(ValueError, match="Logging to file not configured"):
        DaemonLog("ovn-ic", []).reopen_file()


@pytest.mark.parametrize("method", ["smoke", "udp:nowhere", "udp:127.0.0.1:x"])
def test_bad_syslog_methods_are_refused(method: str) -> None:
    """An unknown syslog method or a malformed address is an error."""
    with pytest.raises(ValueError, match=re.escape(method.removeprefix("udp:"))):
        DaemonLog("ovn-ic", []).use_syslog(method)


def test_modules() -> None:
    """Modules of the `ovs` package keep their names; all of Isthmus is ovn_ic."""
    assert module_of("ovs.reconnect") == "reconnect"
    assert module_of("isthmus.daemon.loop") == "ovn_ic"

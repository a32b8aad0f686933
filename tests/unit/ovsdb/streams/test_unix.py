"""Sockets and directories that other users could tamper with."""

import logging
import os
import stat
from pathlib import Path

import pytest

from isthmus.ovsdb.streams.unix import ShortageLog, private_socket, require_private
from isthmus.ovsdb.unixctl import ControlServer


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177])
def test_a_control_socket_is_its_owners_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Its mode is 0600 from the moment on at which it exists."""
    path = tmp_path / "made" / "test.ctl"
    previous = os.umask(umask)
    try:
        ControlServer(str(path)).close()
        assert not path.exists()
        with private_socket(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert not path.parent.stat().st_mode & 0o077
    finally:
        os.umask(previous)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_no_socket_is_made_where_others_can_write(tmp_path: Path, mode: int) -> None:
    """Neither in a directory like /tmp, nor in a group's."""
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError, match="other users can write to the directory"):
        ControlServer(str(tmp_path / "test.ctl"))
    assert list(tmp_path.iterdir()) == []


def test_another_users_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its owner could replace what is in it."""
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        require_private(tmp_path)  # root is trusted
        os.chown(tmp_path, 4711, 4711)
    with pytest.raises(PermissionError):
        require_private(tmp_path)


def test_no_symbolic_link_is_followed(tmp_path: Path) -> None:
    """A link in the socket's place is replaced, and its target stays."""
    target, path = tmp_path / "target", tmp_path / "test.ctl"
    target.write_text("precious")
    path.symlink_to(target)
    with private_socket(path):
        assert not path.is_symlink()
    assert target.read_text() == "precious"


def test_long_paths_are_possible(tmp_path: Path) -> None:
    """A directory's path may be longer than the address of a socket."""
    directory = tmp_path / ("long" * 30)
    directory.mkdir(mode=0o700)
    with private_socket(directory / "test.ctl"):
        assert (directory / "test.ctl").is_socket()


def test_a_shortage_is_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However many attempts to accept fail."""
    shortage = ShortageLog(logging.getLogger("test"), "connections")
    for tick in range(1000):
        shortage.report(OSError(24, "Too many open files"), tick / 10)
    assert [record.message for record in caplog.records] == [
        "connections have to wait: Too many open files"
    ] * 2

"""Watching the files of a certificate: what is logged, and when servers reload them."""

import datetime
import logging
from pathlib import Path

import pytest

from isthmus.icdb.local import blocker_log
from isthmus.icdb.server.certificate_reload import CertificateReload
from isthmus.pki.certificates import MEMBERS_CA_UNIT, IssueSpec, KeyPair, Kind, bundle, new_ca
from isthmus.pki.files import write_file
from support.icdb.certificates import NOW, install

MEMBER = IssueSpec(Kind.MEMBER, "ic1", ("127.0.0.1",))
LONG_AGO = NOW - datetime.timedelta(days=50)


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> KeyPair:
    """An authority; problems are logged without delay."""
    monkeypatch.setattr(blocker_log, "GRACE", 0.0)
    return new_ca("test", LONG_AGO)


def test_a_new_pair_is_loaded_once(tmp_path: Path, authority: KeyPair) -> None:
    """And only when key and certificate match; the key's time stamp triggers the server."""
    files = install(tmp_path, authority, MEMBER)
    reload = CertificateReload(files)
    assert not reload.check()
    key = files.private_key.read_bytes()
    install(tmp_path, authority, MEMBER)
    good = files.private_key.read_bytes()
    files.private_key.write_bytes(key)
    assert not reload.check()
    files.private_key.write_bytes(good)
    before = files.private_key.stat().st_mtime_ns
    assert reload.check()
    assert files.private_key.stat().st_mtime_ns >= before
    assert not reload.check()


def test_faults_are_logged_once(
    tmp_path: Path, authority: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    """An expired pair that was copied in, and one that expires soon while it stays the same."""
    caplog.set_level(logging.WARNING)
    reload = CertificateReload(install(tmp_path, authority, MEMBER), interval=0.0)
    assert not reload.check()
    install(tmp_path, authority, MEMBER, LONG_AGO, days=1)
    assert not reload.check()
    assert not reload.check()
    assert caplog.text.count("of ic1 expired on") == 1
    install(tmp_path, authority, MEMBER, days=10)
    assert reload.check()
    assert not reload.check()
    assert caplog.text.count("of ic1 expires on") == 1


def test_a_changed_members_ca_is_checked(
    tmp_path: Path, authority: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers reload it on their own; its faults are logged at once, and once."""
    caplog.set_level(logging.WARNING)
    members = new_ca("members", LONG_AGO, unit=MEMBERS_CA_UNIT)
    both = KeyPair(b"", bundle([members.certificate, authority.certificate]))
    files = install(tmp_path, members, MEMBER, trusted=both)
    write_file(files.members_ca, members.certificate)
    reload = CertificateReload(files, separate_members_ca=True)
    assert not reload.check()
    assert not caplog.text
    write_file(files.members_ca, both.certificate)
    for _ in range(3):
        assert not reload.check()
    assert caplog.text.count("also signs zones") == 1
    install(tmp_path, members, MEMBER, trusted=both)
    assert reload.check(), "a member whose certificate ended would be cut off"

"""Following the files of a certificate: what is told, and when servers are told to look."""

import datetime
import logging
from pathlib import Path

import pytest

from isthmus.icdb.local import blocker_log as reasons
from isthmus.icdb.server.certificate_reload import Renewal
from isthmus.pki.certificates import MEMBERS_UNIT, KeyPair, Kind, Wish, bundle, new_authority
from isthmus.pki.files import write_file
from support.icdb.certificates import NOW, install

MEMBER = Wish(Kind.MEMBER, "ic1", ("127.0.0.1",))
LONG_AGO = NOW - datetime.timedelta(days=50)


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> KeyPair:
    """An authority; what lasts for no time at all is told."""
    monkeypatch.setattr(reasons, "GRACE", 0.0)
    return new_authority("test", LONG_AGO)


def test_a_new_pair_is_taken_up_once(tmp_path: Path, authority: KeyPair) -> None:
    """And only when it fits together; the key's time tells the server."""
    files = install(tmp_path, authority, MEMBER)
    renewal = Renewal(files)
    assert not renewal.look()
    key = files.private_key.read_bytes()
    install(tmp_path, authority, MEMBER)
    good = files.private_key.read_bytes()
    files.private_key.write_bytes(key)
    assert not renewal.look()
    files.private_key.write_bytes(good)
    before = files.private_key.stat().st_mtime_ns
    assert renewal.look()
    assert files.private_key.stat().st_mtime_ns >= before
    assert not renewal.look()


def test_what_is_wrong_is_told_once(
    tmp_path: Path, authority: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    """An expired pair that was copied in, and one that ends soon while it stays the same."""
    caplog.set_level(logging.WARNING)
    renewal = Renewal(install(tmp_path, authority, MEMBER), every=0.0)
    assert not renewal.look()
    install(tmp_path, authority, MEMBER, LONG_AGO, days=1)
    assert not renewal.look()
    assert not renewal.look()
    assert caplog.text.count("of ic1 expired on") == 1
    install(tmp_path, authority, MEMBER, days=10)
    assert renewal.look()
    assert not renewal.look()
    assert caplog.text.count("of ic1 expires on") == 1


def test_another_ca_of_members_is_looked_at(
    tmp_path: Path, authority: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers read it again by themselves: what is wrong with it is told at once, and once."""
    caplog.set_level(logging.WARNING)
    members = new_authority("members", LONG_AGO, unit=MEMBERS_UNIT)
    both = KeyPair(b"", bundle([members.certificate, authority.certificate]))
    files = install(tmp_path, members, MEMBER, trusted=both)
    write_file(files.members_ca, members.certificate)
    renewal = Renewal(files, apart=True)
    assert not renewal.look()
    assert not caplog.text
    write_file(files.members_ca, both.certificate)
    for _ in range(3):
        assert not renewal.look()
    assert caplog.text.count("signs zones too") == 1
    install(tmp_path, members, MEMBER, trusted=both)
    assert renewal.look(), "a member whose certificate ended would be cut off"

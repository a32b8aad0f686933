"""Makes running servers use renewed certificates, and logs certificates that expire soon.

Called by `supervisor` about once a second. `ovsdb-server` loads a new pair when it sees that the
key's and then the certificate's file has changed. If the key was copied first or stays the same,
the server keeps the old pair until the key's time stamp changes, so `check` changes it.
"""

import datetime
import os
import time
from contextlib import suppress
from pathlib import Path

from isthmus.icdb.local.blocker_log import GRACE, BlockerLog
from isthmus.pki.files import TlsFiles, check_files, check_member_files, expiring


class CertificateReload:
    """Watches one pair of files.

    Args:
        files: those that the servers were started with, after they were checked.
        separate_members_ca: whether members have a CA of their own, which servers reload by
            themselves.
        interval: seconds between checks of files that do not change, since they expire.
    """

    def __init__(
        self, files: TlsFiles, interval: float = 3600.0, *, separate_members_ca: bool = False
    ) -> None:
        self._files = files
        self._separate_members_ca = separate_members_ca
        self._loaded, self._members_ca = _modified(files.certificate), self._members_ca_time()
        self._blockers = BlockerLog(files.object)
        self._interval = interval
        self._due = time.monotonic() + interval

    def check(self) -> bool:
        """Make the servers load the pair if it has changed; whether there is a new one.

        A pair that does not match is not loaded: the server would keep half of it.
        """
        pair = _modified(self._files.certificate)
        changed = pair not in {self._loaded, None}
        previous, self._members_ca = self._members_ca, self._members_ca_time()
        if not changed and previous == self._members_ca and time.monotonic() < self._due:
            return False
        now = datetime.datetime.now(datetime.UTC)
        faults = check_files(self._files, now, serves=True)
        problems = [*faults, *expiring(self._files, now)]
        if not faults and self._separate_members_ca:
            problems += check_member_files(self._files, now)
        self._blockers.update(problems, time.monotonic())
        # A pair that is just being copied has faults only for a moment.
        self._due = time.monotonic() + (GRACE if problems else self._interval)
        if not changed or faults:
            return False
        self._loaded = pair
        # A mounted Secret cannot be written to, but all its files change at once.
        with suppress(OSError):
            os.utime(self._files.private_key)
        return True

    def _members_ca_time(self) -> int | None:
        return _modified(self._files.members_ca) if self._separate_members_ca else None


def _modified(path: Path) -> int | None:
    """When a file was last modified, in nanoseconds; None if it cannot be read."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None

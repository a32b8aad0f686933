"""Has running servers take up renewed certificates, and tells when theirs are about to end.

Called by `supervisor` every second or so. Files may be copied in whatever order: ovsdb-server
reads a new pair when it sees that the key has changed and then that the certificate has. If the
key came first, or stayed the same, it goes on with the old pair, until the key's time stamp changes
again: that is what is done here.
"""

import datetime
import os
import time
from contextlib import suppress
from pathlib import Path

from isthmus.icdb.local.blocker_log import GRACE, Reasons
from isthmus.model.problems import Problem
from isthmus.pki.files import TlsFiles, check_files, check_member_files, expiring


class Renewal:
    """Follows one pair of files.

    Args:
        files: what servers were started with; what is wrong with them has been told.
        apart: whether members believe a CA of their own, which servers read again by themselves.
        every: seconds between looks at files that do not change: time passes for them, too.
    """

    def __init__(self, files: TlsFiles, every: float = 3600.0, *, apart: bool = False) -> None:
        self._files = files
        self._apart = apart
        self._seen, self._trusted = self._stamp(), self._trust()
        self._reasons = Reasons(files.object)
        self._every = every
        self._due = time.monotonic() + every

    def look(self) -> bool:
        """Look whether the certificate is another one, and have the servers look at it.

        Waits for a pair that fits together: of a new certificate with an old key, the server would
        keep the half.

        Returns:
            whether there is a new pair.
        """
        stamp = self._stamp()
        changed = stamp not in {self._seen, None}
        trusted, self._trusted = self._trusted, self._trust()
        if not changed and trusted == self._trusted and time.monotonic() < self._due:
            return False
        faults = check_files(self._files, _now(), serves=True)
        apart = () if faults else self._apart_faults()
        self._tell((*faults, *apart, *expiring(self._files, _now())))
        if not changed or faults:
            return False
        self._seen = stamp
        # A mounted Secret cannot be written to; all its files change at once, which serves as well.
        with suppress(OSError):
            os.utime(self._files.private_key)
        return True

    def _tell(self, problems: tuple[Problem, ...]) -> None:
        """Have people know; a pair that is being copied is no fault for a moment."""
        now = time.monotonic()
        self._reasons.update(problems, now)
        self._due = now + (GRACE if problems else self._every)

    def _apart_faults(self) -> tuple[Problem, ...]:
        return check_member_files(self._files, _now()) if self._apart else ()

    def _stamp(self) -> int | None:
        return _changed(self._files.certificate)

    def _trust(self) -> int | None:
        return _changed(self._files.members_ca) if self._apart else None


def _changed(path: Path) -> int | None:
    """When a file was last changed; None if it cannot be seen."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

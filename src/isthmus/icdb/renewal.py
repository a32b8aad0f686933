"""Has running servers take up renewed certificates, in whatever order the files were copied.

Called by `supervisor` every second or so. ovsdb-server reads a new pair when it sees that the key
has changed and then that the certificate has. If the key came first, or stayed the same, it goes
on with the old pair, until the key's time stamp changes again: that is what is done here.
"""

import datetime
import os
from contextlib import suppress

from isthmus.pki.files import TlsFiles, check_files


class Renewal:
    """Follows one pair of files.

    Args:
        files: what servers were started with.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._stamp()

    def look(self) -> bool:
        """Look whether the certificate is another one, and have the servers look at it.

        Waits for a pair that fits together: of a new certificate with an old key, the server would
        keep the half.

        Returns:
            whether there is a new pair.
        """
        stamp = self._stamp()
        if stamp in {self._seen, None} or check_files(self._files, _now()):
            return False
        self._seen = stamp
        # A mounted Secret cannot be written to; all its files change at once, which serves as well.
        with suppress(OSError):
            os.utime(self._files.private_key)
        return True

    def _stamp(self) -> int | None:
        try:
            return self._files.certificate.stat().st_mtime_ns
        except OSError:
            return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

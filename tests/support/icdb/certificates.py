"""Certificates of `isthmus pki`, put where a side of a connection reads them."""

import datetime
from pathlib import Path

from isthmus.pki.certificates import IssueSpec, KeyPair, issue
from isthmus.pki.files import TlsFiles, write_file, write_pair

NOW = datetime.datetime.now(datetime.UTC)


def install(
    directory: Path,
    authority: KeyPair,
    spec: IssueSpec,
    now: datetime.datetime = NOW,
    days: int = 365,
    trusted: KeyPair | None = None,
) -> TlsFiles:
    """Put a new certificate where a side reads it, in the way of `isthmus pki`.

    Args:
        directory: for it; made if need be.
        authority: signs it.
        spec: what to issue.
        now, days: when it is good.
        trusted: whom the side believes, if not the authority.
    """
    files = TlsFiles.in_directory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_file(files.ca_cert, (trusted or authority).certificate)
    write_pair(files, issue(authority, spec, now, days))
    return files

"""Certificates of `isthmus pki` in the directories of the programs that use them."""

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
    """Write a new certificate into a directory, as `isthmus pki` does.

    Args:
        directory: created if it does not exist.
        authority: the CA that signs it.
        spec: what to issue.
        now, days: when it is valid.
        trusted: the CAs to trust, if not the authority.
    """
    files = TlsFiles.in_directory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_file(files.ca_cert, (trusted or authority).certificate)
    write_pair(files, issue(authority, spec, now, days))
    return files

"""The file of a backup: a gzip-compressed tar archive of plain files, held in memory.

Called by `backup`. An archive to read may come from anyone. Invariant: no more of it is unpacked
than the bounds allow, and nothing is written to a file system.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from isthmus.model.bounds import BACKUP_FILES, BACKUP_SIZE
from isthmus.model.text import quoted

_BLOCK = tarfile.BLOCKSIZE
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE)
"""Entries with attributes such as times, which are skipped."""


def packed(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of files, given by name and contents."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def unpacked(file: Path) -> dict[str, bytes]:
    """The files in an archive, by name.

    `tarfile` itself reads extended headers of any size, so it parses only single headers here.

    Raises:
        OSError, EOFError, zlib.error, tarfile.TarError: it cannot be read, or is damaged.
        ValueError: it exceeds a bound, or holds anything else than differing plain files.
    """
    found: dict[str, bytes] = {}
    with gzip.open(file) as stream:
        for number, info in enumerate(_headers(stream), 1):
            BACKUP_FILES.check(number)
            extended = info.type in _EXTENDED
            plain = info.isreg() and Path(info.name).name == info.name
            if not (extended or plain) or info.name in found:
                raise ValueError(f"its entry {quoted(info.name)} is not a plain, single file")
            BACKUP_SIZE.check(info.size + sum(map(len, found.values())))
            content = _exactly(stream, info.size)
            _exactly(stream, -info.size % _BLOCK)
            if not extended:
                found[info.name] = content
    return found


def _headers(stream: gzip.GzipFile) -> Iterator[tarfile.TarInfo]:
    while any(block := _exactly(stream, _BLOCK)):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise tarfile.HeaderError
        yield info


def _exactly(stream: gzip.GzipFile, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found

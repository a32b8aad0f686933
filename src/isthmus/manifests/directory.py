"""A directory as the source of manifests.

The daemon polls `fileno()` and calls `poll`. Every `*.yaml`, `*.yml` and `*.json` file is read,
with any number of documents; hidden files and backup files of editors are not. Symbolic links are
followed, so a mounted ConfigMap works. `isthmus.manifests.file_history` has the rules for files
with errors and deleted files; a directory that is missing, unreadable or emptied at once changes
nothing.
"""

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path
from stat import S_ISREG

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey, Snapshot
from isthmus.files import read_file
from isthmus.manifests.documents import duplicate
from isthmus.manifests.file_history import QUIET, ManifestFile
from isthmus.manifests.watcher import DirectoryWatcher
from isthmus.model.bounds import MANIFEST_FILE
from isthmus.model.problems import Problem, Subject
from isthmus.model.text import failure_text

SUFFIXES = (".yaml", ".yml", ".json")

RESCAN = 5.0
"""Seconds until the directory is read again even without a notification."""

RESCAN_OFTEN = 1.0
"""The same while the directory, or a file in it, cannot be read or watched."""


class DirectorySource:
    """Reads and watches one directory.

    Args:
        path: the directory; it need not exist yet.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = os.fspath(path)
        self._files: dict[str, ManifestFile] = {}
        self._watcher = DirectoryWatcher()
        self._last: Snapshot | None = None
        self._directory_problems: tuple[Problem, ...] = ()
        self._listed = False
        self._next = -inf

    def fileno(self) -> int:
        """A file descriptor that is readable when `poll` may have something new."""
        return self._watcher.changed.fileno()

    def next_wakeup(self) -> float:
        """When `poll` must be called even if nothing was notified: monotonic seconds."""
        return self._next

    def poll(self, now: float) -> Snapshot | None:
        """Take in what is new.

        Args:
            now: monotonic seconds.

        Returns:
            The snapshot if it differs from the last one that was returned, else None. The
            objects of an unchanged file are the same values as before.
        """
        if not self._watcher.changed.drain() and now < self._next:
            return None
        self._scan(now)
        snapshot = self._merge()
        if snapshot == self._last:
            return None
        self._last = snapshot
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        self._watcher.close()

    def _scan(self, now: float) -> None:
        try:
            found = self._list()
        except OSError as error:
            self._directory_problems = self._problem(
                f"cannot be read: {failure_text(error)}",
                "create it or make it readable; until then the objects that it held stay in force",
            )
            self._next = min([now + RESCAN_OFTEN, *self._due(now)])
            return
        if not found and sum(bool(file.in_force) for file in self._files.values()) > 1:
            self._directory_problems = self._problem(
                "lost all its files at once, as if not mounted; their objects stay in force",
                'restore the files; to leave the interconnection, write enable-ic: "false"',
            )
            self._next = now + RESCAN_OFTEN
            return
        self._listed = True
        self._directory_problems, often = (), bool(self._watcher.failure)
        if often:
            self._directory_problems = self._problem(
                f"cannot be watched: {self._watcher.failure}",
                "raise the inotify limits and restart; until then it is read every"
                f" {RESCAN_OFTEN:g} s",
            )
        for name in sorted(found | self._files.keys()):
            file = self._files.setdefault(name, ManifestFile(name))
            often |= not self._update(file, name in found, now)
            if file.deleted:
                del self._files[name]
        self._next = min([now + (RESCAN_OFTEN if often else RESCAN), *self._due(now)])

    def _list(self) -> set[str]:
        status = os.stat(self._path)  # noqa: PTH116 - a descriptor-free pair with scandir
        names = os.listdir(self._path)  # noqa: PTH208
        self._watcher.follow(self._path, (status.st_dev, status.st_ino))
        return {name for name in names if name.endswith(SUFFIXES) and name[0] not in ".#"}

    def _update(self, file: ManifestFile, listed: bool, now: float) -> bool:
        """Update one file; whether it could be read."""
        path = Path(self._path, file.name)
        try:
            status = path.stat() if listed else None
            if status is not None and not S_ISREG(status.st_mode):
                status = None
            if status is not None and status.st_size > MANIFEST_FILE.most:
                file.unreadable(
                    f"its {status.st_size} bytes exceed the limit of {MANIFEST_FILE.most}"
                )
                return True
            # At the start no object can be lost, so files are read without waiting.
            seen = now if self._last is not None else now - QUIET
            file.seen(status and _signature(status), seen)
            file.advance(lambda: read_file(path, MANIFEST_FILE), now)
        except OSError as error:
            file.unreadable(failure_text(error))
            return False
        return True

    def _due(self, now: float) -> Iterator[float]:
        for file in self._files.values():
            yield max(file.due(), now)

    def _merge(self) -> Snapshot:
        objects: dict[ObjectKey, Manifest] = {}
        problems = [*self._directory_problems]
        files = [self._files[name] for name in sorted(self._files)]
        for file in files:
            problems += file.problems
            for key, manifest in file.present.items():
                first = objects.setdefault(key, manifest)
                if first is not manifest:
                    problems.append(duplicate(key, first.origin, manifest.origin))
        # After all present objects, so that an object moved to another file is not a duplicate.
        for file in files:
            for key, manifest in file.in_force.items():
                objects.setdefault(key, manifest)
        complete = self._listed and all(file.valid_once or not file.problems for file in files)
        return Snapshot(objects, tuple(problems), complete)

    def _problem(self, message: str, remedy: str) -> tuple[Problem]:
        return (Subject(f"directory {self._path}").problem(message, remedy),)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, *times, status.st_size)

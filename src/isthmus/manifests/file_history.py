"""The objects of one file over time: the rules for changes, errors and deletion.

Pure; the directory source calls it with the state of the file. Invariant: an object stays in force
until the file, unchanged for `SETTLE` seconds, lacks it and has no error. An empty file is an
error: a full disk or a failed writer leaves one, and deleting the file is as easy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.manifests.documents import FileContent, read_documents
from isthmus.model.problems import Problem, Subject

QUIET = 0.05
"""Seconds that a file must be unchanged before it is read, so that its writer can finish."""

SETTLE = 2.0
"""Seconds that a file must be unchanged before an object that it lacks counts as deleted."""

Signature = tuple[int, ...]
"""Changes whenever a file is written or replaced (device, inode, times, size)."""


@dataclass(slots=True)
class ManifestFile:
    """One file, by name.

    Attributes:
        in_force: its objects that are in force.
        present: those of them that the file holds now.
        problems: those of the file.
        valid_once: whether it has ever been read without a problem.
    """

    name: str
    in_force: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    present: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    valid_once: bool = False
    _signature: Signature | None = None
    _changed: float = -inf
    _unread: bool = False
    _content: FileContent | None = None

    def seen(self, signature: Signature | None, now: float) -> None:
        """Take in the state of the file; None if it does not exist."""
        if signature != self._signature:
            self._changed, self._signature = now, signature
            self._unread = signature is not None

    def unreadable(self, reason: str) -> None:
        """Note that the file exists but cannot be read; its objects stay in force."""
        self._signature, self._unread, self._content = (), False, None
        self._report(
            f"cannot be read: {reason}",
            "make it readable; until then the objects that it held stay in force",
        )

    def advance(self, read: Callable[[], bytes], now: float) -> None:
        """Apply what is due.

        Args:
            read: reads the file's content; called only when needed.
            now: monotonic seconds.

        Raises:
            OSError: from `read`.
        """
        settled = now >= self._changed + SETTLE
        if self._signature is None:
            self._gone(settled)
        elif self._unread and now >= self._changed + QUIET:
            content = read()
            self._unread = False
            self._content = read_documents(self.name, content)
        if self._content is not None:
            self._take(self._content, settled)

    def due(self) -> float:
        """When `advance` must be called again without a change: monotonic seconds, or inf."""
        if self._unread:
            return self._changed + QUIET
        waiting = self._signature is None or self._content is not None
        return self._changed + SETTLE if waiting else inf

    @property
    def deleted(self) -> bool:
        """Whether the file and all its objects are gone."""
        return self._signature is None and not self.in_force and not self.problems

    def _take(self, content: FileContent, settled: bool) -> None:
        self.problems = content.problems
        self.present = content.manifests
        if content.empty and self.in_force:
            self._report(
                "is empty, so the objects that it held stay in force",
                "restore it, or delete the file to delete its objects",
            )
        if self.problems:
            # An invalid object must not count as a deleted one.
            self.in_force = {**self.in_force, **self.present}
            self._content = None
            return
        self.valid_once = True
        gone = self.in_force.keys() - self.present.keys()
        self.in_force = self.present if settled else {**self.in_force, **self.present}
        if settled or not gone:
            self._content = None

    def _gone(self, settled: bool) -> None:
        self.present, self._content = {}, None
        if settled or not self.in_force:
            self.in_force, self.problems = {}, ()
            return
        self._report(
            "does not exist any more",
            f"restore it; after {SETTLE:g} s its objects count as deleted",
        )

    def _report(self, message: str, remedy: str) -> None:
        self.problems = (Subject(f"file {self.name}").problem(message, remedy),)

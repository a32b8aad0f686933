"""What one file contributes over time: the rules for changes, breakage and disappearance.

Pure; the directory source feeds it with what it sees. Invariant: what a file once gave stays in
force until the file has, unchanged for `SETTLE` seconds, said something else without any error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from isthmus.controller.inputs.snapshot import Manifest, ObjectKey
from isthmus.manifests.documents import Documents, read_documents
from isthmus.model.problems import Problem, Subject

QUIET = 0.05
"""Seconds that a file must be unchanged before it is read: a writer in full swing is let finish."""

SETTLE = 2.0
"""Seconds that a file must be unchanged before what it no longer holds counts as deleted."""

Signature = tuple[int, ...]
"""Changes whenever a file is written or replaced (device, inode, times, size)."""


@dataclass(slots=True)
class HeldFile:
    """One file, by name.

    Attributes:
        held: the objects in force.
        present: those of them that the file holds right now.
        problems: what is wrong with the file.
        read_well: whether it has ever been read without a problem.
    """

    name: str
    held: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    present: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    read_well: bool = False
    _signature: Signature | None = None
    _changed: float = -inf
    _unread: bool = False
    _doubtful: bool = False
    _documents: Documents | None = None
    _content: bytes = b""

    def seen(self, signature: Signature | None, now: float) -> None:
        """Note the file's state; None if it is gone."""
        if signature != self._signature:
            self._changed, self._signature = now, signature
            self._unread, self._doubtful = signature is not None, False

    def unreadable(self, reason: str) -> None:
        """Note that the file is there but cannot be read; what it held stays in force."""
        self._signature, self._unread, self._documents = (), False, None
        self.problems = (
            Subject(f"file {self.name}").problem(
                f"cannot be read: {reason}",
                "make it readable; until then what it held before stays in force",
            ),
        )

    def advance(self, read: Callable[[], bytes], now: float) -> None:
        """Let what is due take effect.

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
            if not settled and self._unfinished(content):
                self.problems, self._doubtful = (self._half_written(),), True
                return
            self._unread, self._content = False, content
            self._documents = read_documents(self.name, content)
        if self._documents is not None:
            self._take(self._documents, settled)

    def due(self) -> float:
        """When `advance` must be called again without a change: monotonic seconds, or inf."""
        if self._unread and not self._doubtful:
            return self._changed + QUIET
        waiting = self._unread or self._signature is None or self._documents is not None
        return self._changed + SETTLE if waiting else inf

    @property
    def forgotten(self) -> bool:
        """Whether the file is gone for good."""
        return self._signature is None and not self.held and not self.problems

    def _take(self, documents: Documents, settled: bool) -> None:
        self.problems = documents.problems
        self.present = documents.manifests
        if documents.problems:
            # A misspelt object must not count as a deleted one.
            self.held = {**self.held, **self.present}
            self._documents = None
            return
        self.read_well = True
        gone = self.held.keys() - self.present.keys()
        self.held = self.present if settled else {**self.held, **self.present}
        if settled or not gone:
            self._documents = None

    def _gone(self, settled: bool) -> None:
        self.present, self._documents = {}, None
        if settled or not self.held:
            self.held, self.problems = {}, ()
            return
        self.problems = (
            Subject(f"file {self.name}").problem(
                "has vanished", f"put it back; {SETTLE:g} s later its objects count as deleted"
            ),
        )

    def _unfinished(self, content: bytes) -> bool:
        """Whether the content looks like the first part of something longer."""
        cut = len(content) < len(self._content) and self._content.startswith(content)
        # JSON that is cut off does not parse; YAML often does, so its last line must be ended.
        return cut or not (content.endswith(b"\n") or self.name.endswith(".json"))

    def _half_written(self) -> Problem:
        return Subject(f"file {self.name}").problem(
            "looks half-written: it is cut short, or its last line has no end",
            f"finish it; if it stays so for {SETTLE:g} s it is taken as it is",
        )

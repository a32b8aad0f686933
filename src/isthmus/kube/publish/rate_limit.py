"""How often to write: a bucket of tokens, and pauses that grow. Pure: time is an argument."""

from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Bucket:
    """Lets through `burst` at once, and one more each `interval` seconds."""

    burst: int
    interval: float
    _tokens: float = field(init=False)
    _refilled: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def due(self, now: float) -> float:
        """When the next may pass: monotonic seconds."""
        elapsed = max(now - self._refilled, 0.0)
        self._tokens = min(self.burst, self._tokens + elapsed / self.interval)
        self._refilled = now
        return now if self._tokens >= 1 else now + (1 - self._tokens) * self.interval

    def take(self) -> None:
        """One has passed."""
        self._tokens -= 1


@dataclass(slots=True)
class Pause:
    """Pauses in seconds: `start`, then `step`, each then twice as long as the last, up to `most`.

    Once nothing has happened for `calm` seconds, it begins with `start` again.
    """

    start: float = 0.0
    step: float = 1.0
    most: float = 60.0
    calm: float = 300.0
    _length: float = 0.0
    _last: float = field(default=-inf)

    def next(self, now: float) -> float:
        """How long to pause now."""
        if now - self._last > self.calm:
            self._length = self.start
        else:
            self._length = min(max(self._length * 2, self.step), self.most)
        self._last = now
        return self._length

    def reset(self) -> None:
        """Begin with `start` again."""
        self._last = -inf

"""How often to write: a bucket of tokens. Pure: time is an argument."""

from dataclasses import dataclass, field


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
        """Count one that has passed."""
        self._tokens -= 1

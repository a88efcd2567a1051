"""The rate limit of requests: a token bucket."""

from collections.abc import Callable
from typing import NamedTuple


class RequestRate(NamedTuple):
    """One request each interval, in seconds, and up to `burst` at once after a pause."""

    interval_s: float
    burst: int


class TokenBucket:
    """Counts requests against a limit; full at first."""

    def __init__(self, limit: RequestRate, monotonic: Callable[[], float]) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self._tokens = float(limit.burst)
        self._filled_at = monotonic()

    def takes(self) -> bool:
        """Tell whether one more request is within the limit, and count it if it is."""
        now = self._monotonic()
        self._tokens = min(self.limit.burst, self._tokens + (now - self._filled_at) / self.limit.interval_s)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

"""The clock that this package asks, so that a test can hand in one of its own."""

from typing import Protocol


class TimeSource(Protocol):
    """What is used of the standard module `time`."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def time(self) -> float:
        """Return seconds since the epoch."""

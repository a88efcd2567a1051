"""A clock that moves only when a test says so."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Monotonic and wall time that advance together; `wall` is the wall time at monotonic `now`."""

    now: float = 1000.0
    wall: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

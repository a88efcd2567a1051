"""What calls of a mock GPU cost: they take as long as they took when a real one was recorded."""

import time
import zlib
from collections.abc import Callable, Mapping

from exporter.mock.machine.scenario import CostPlay
from exporter.mock.recordings.recording import CallCost

_BLOCK = bytes(1 << 16)
"""Large enough for zlib to let other threads run meanwhile, as ctypes does while a driver works."""

Spend = Callable[[float], None]
"""Lets seconds pass."""


def work(seconds: float) -> None:
    """Keep this thread's CPU busy for so long, and other threads free to run."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        zlib.crc32(_BLOCK)


class CallCosts:
    """Plays what calls cost. Used by any thread.

    Args:
        costs: By NVML's names of functions and field values.
        play: How; None plays nothing.
        sleep: Lets time pass.
        work: Lets time of the CPU pass.
    """

    def __init__(
        self, costs: Mapping[str, CallCost], play: CostPlay | None, sleep: Spend = time.sleep, work: Spend = work
    ) -> None:
        self._costs = costs if play else {}
        self._works = play is CostPlay.WORK
        self._sleep = sleep
        self._work = work

    def pay(self, name: str) -> float:
        """Let pass what a call took; returns the microseconds."""
        cost = self._costs.get(name)
        if cost is None:
            return 0.0
        worked_us = cost.cpu_us if self._works else 0.0
        if worked_us:
            self._work(worked_us / 1e6)
        if cost.us > worked_us:
            self._sleep((cost.us - worked_us) / 1e6)
        return cost.us

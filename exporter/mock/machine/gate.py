"""The gate of a mock GPU, or of NVML as a whole: faults close it, and calls wait there or are turned away."""

import threading
from collections.abc import Callable, Iterable

import pynvml

from exporter.mock.machine.fault import Fault

POLL_S = 0.005
"""How often a call that hangs looks at its clock."""


class Gate:
    """What every call passes first.

    Changes must come one at a time; calls may pass meanwhile.

    Attributes:
        faults: What goes wrong.

    Args:
        faults: What goes wrong from the start.
        now: Returns the seconds since the mock began.
    """

    def __init__(self, faults: Iterable[Fault], now: Callable[[], float]) -> None:
        self.faults = tuple(faults)
        self._now = now
        self._released = threading.Event()

    def enter(self, function: str) -> None:
        """Let a call of a function through, after a hang or a delay where there is one.

        Raises:
            NVMLError: As refuse.
        """
        while self._hangs(function) and not self._released.wait(POLL_S):
            pass
        delay_s = sum(fault.delay_s(function, self._now()) for fault in self.faults)
        if delay_s:
            self._released.wait(delay_s)
        self.refuse(function)

    def refuse(self, function: str) -> None:
        """Turn a call of a function away where a fault asks for it.

        Raises:
            NVMLError: With the code that the fault names.
        """
        for fault in self.faults:
            code = fault.error(function, self._now())
            if code is not None:
                raise pynvml.NVMLError(code)

    def altered(self, value: float, quantity: str, t: float, link: int | None) -> float:
        """Return what faults make of a quantity's value at a time; `link` is the NVLink that it is about, if any."""
        for fault in self.faults:
            value = fault.altered(value, quantity, t, link)
        return value

    def mig_devices(self) -> frozenset[int] | None:
        """Return which of the scenario's MIG devices are there now, by their indices; None for all."""
        left = (fault.mig_devices(self._now()) for fault in self.faults)
        return next((devices for devices in left if devices is not None), None)

    def is_absent(self) -> bool:
        """Say whether a fault has taken away what is behind the gate."""
        return self.was_absent_since(float("inf"))

    def was_absent_since(self, t: float) -> bool:
        """Say whether that is so, or was so at some moment after a time."""
        now = self._now()
        spells = (fault.absence() for fault in self.faults)
        return any(spell.has(now) or t < spell.at_s <= now for spell in spells if spell is not None)

    def add(self, fault: Fault) -> None:
        """Let something more go wrong."""
        self.faults = (*self.faults, fault)

    def mend(self) -> None:
        """End all that goes wrong now, and all that was to come; what was reported and counted stays."""
        left = (fault.ended(self._now()) for fault in self.faults)
        self.faults = tuple(fault for fault in left if fault is not None)

    def release(self) -> None:
        """End every hang of this GPU, those to come included."""
        self._released.set()

    def _hangs(self, function: str) -> bool:
        return any(fault.holds(function, self._now()) for fault in self.faults)

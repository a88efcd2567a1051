"""A supervisor of a mock machine, on a clock that a test moves."""

import threading
import time
from collections.abc import Callable
from typing import Any

from exporter.catalogue import CATALOGUE
from exporter.mock import MockNvml
from exporter.model import Condition, GpuState
from exporter.sampling.failures import Failures
from exporter.sampling.plan import plan
from exporter.sampling.supervisor import Sampling, Supervisor
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml
from tests.unit.mock_machines import scenario
from tests.waiting import until

FIELDS = {"DCGM_FI_DEV_GPU_TEMP_CELSIUS", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_XID_ERROR", "DCGM_FI_DEV_FB_USED"}
SAMPLED, LOST, HANGING, STARTING = Condition.SAMPLED, Condition.LOST, Condition.HANGING, Condition.STARTING
RELEASED = Condition.RELEASED
TWO = "gpus: [{profile: h100-sxm}, {profile: h100-sxm}]"

INTERVAL_S = 0.01


class SupervisorBench:
    """A supervisor of a mock machine whose time passes only when a test says so; its threads wait for real.

    `sound` are the indices of the GPUs that time must not leave behind.
    """

    def __init__(self, machine: str, devices: str = "f") -> None:
        self.clock = FakeClock()
        self.mock = MockNvml(scenario(machine), self.clock)
        self.nvml = FaultyNvml(self.mock)
        self.failures = Failures()
        self.pci: frozenset[str] | None = frozenset({"0000:1b:00.0"})
        self.asks_mock_for_pci = False
        self.sound: tuple[int, ...] = ()
        sampling = Sampling(
            library=self.nvml,
            selections=parse_devices(devices),
            clock=self.clock,
            interval_s=INTERVAL_S,
            scan_s=5.0,
            pci_devices=lambda: self.mock.pci_devices() if self.asks_mock_for_pci else self.pci,
        )
        self.supervisor = Supervisor(sampling, plan(FIELDS, CATALOGUE), self.failures)

    def conditions(self) -> list[Condition]:
        return [state.condition for state in self.supervisor.states()]

    def state(self, index: int) -> GpuState:
        return next(state for state in self.supervisor.states() if state.index == index)

    def values(self, index: int) -> dict[str, float | str]:
        snapshot = self.state(index).snapshot
        return {} if snapshot is None else {sample.field: sample.value for sample in snapshot.samples}

    def instances(self, index: int) -> int:
        snapshot = self.state(index).snapshot
        return 0 if snapshot is None else len({sample.entity for sample in snapshot.samples})

    def start(self, *expected: Condition) -> None:
        self.supervisor.start()
        until(lambda: self.conditions() == list(expected))
        self.sound = tuple(index for index, condition in enumerate(expected) if condition is SAMPLED)

    def record(self, function: str) -> list[tuple[Any, ...]]:
        """Return a list to which the arguments of each call of a function are added from now on."""
        recorded: list[tuple[Any, ...]] = []
        real = getattr(self.mock, function)
        self.nvml.replaced[function] = lambda *args: recorded.append(args) or real(*args)  # type: ignore[func-returns-value]
        return recorded

    def pass_until(self, condition: Callable[[], bool]) -> None:
        """Let time pass, second by second, until something is so."""

        def is_so() -> bool:
            if condition():
                return True
            self.clock.advance(1.0)
            now = self.clock.now
            time.sleep(INTERVAL_S)
            until(lambda: all(self._taken(index) >= now for index in self.sound))
            return False

        until(is_so)

    def become(self, *expected: Condition) -> None:
        self.pass_until(lambda: self.conditions() == list(expected))

    def pass_scans(self, number: int) -> None:
        """Let time pass until all GPUs have been counted some times more."""
        enough = self.nvml.calls["nvmlDeviceGetCount"] + number
        self.pass_until(lambda: self.nvml.calls["nvmlDeviceGetCount"] >= enough)

    def _taken(self, index: int) -> float:
        snapshot = self.state(index).snapshot
        return 0.0 if snapshot is None else snapshot.taken


def threads_of(name: str) -> int:
    return [thread.name for thread in threading.enumerate()].count(name)


Make = Callable[..., SupervisorBench]
"""The fixture make."""

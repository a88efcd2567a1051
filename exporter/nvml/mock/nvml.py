"""The object that stands where the module pynvml stands."""

from collections.abc import Callable
from typing import Any

import pynvml

from exporter.model import Clock
from exporter.nvml.mock.demands import Holders
from exporter.nvml.mock.event_calls import EventCalls
from exporter.nvml.mock.field_calls import FieldCalls
from exporter.nvml.mock.gauge_calls import GaugeCalls
from exporter.nvml.mock.gpm_calls import GpmCalls
from exporter.nvml.mock.library import Library, failure
from exporter.nvml.mock.machine import Machine
from exporter.nvml.mock.machine_calls import MachineCalls
from exporter.nvml.mock.mig_calls import MigCalls
from exporter.nvml.mock.pods import MockPod
from exporter.nvml.mock.scenario import Scenario


class MockNvml:
    """A mock machine behind pynvml's own names.

    It has pynvml's functions as far as the mock knows them, and all of pynvml's constants, structures and errors. A
    function that it does not know raises FUNCTION_NOT_FOUND when called, as an old driver's library does.

    Attributes:
        machine: What stands behind it, for those who change it while it runs.

    Args:
        scenario: The machine.
        clock: Monotonic and wall time, such as the standard module `time`; the scenario begins now.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.machine = Machine(scenario, clock)
        library = Library(self.machine)
        for calls in (MachineCalls, MigCalls, GaugeCalls, FieldCalls, GpmCalls, EventCalls):
            group = calls(library)
            for name in dir(group):
                if name.startswith("nvml"):
                    setattr(self, name, getattr(group, name))

    def __getattr__(self, name: str) -> Any:
        found = getattr(pynvml, name)
        return _not_found if name.startswith("nvml") and callable(found) and not isinstance(found, type) else found

    def pods(self) -> tuple[MockPod, ...]:
        """Return the pods of now, as a kubelet of this machine would list them."""
        return self.machine.mock_pods()

    def follow(self, holders: Callable[[], Holders]) -> None:
        """Ask this from now on who holds what, in the place of the scenario's own pods; see Machine.follow."""
        self.machine.follow(holders)

    def release_hangs(self) -> None:
        """Let every call that hangs return now, and none hang from now on."""
        for gpu in self.machine.gpus:
            gpu.gate.release()


def _not_found(*_args: Any, **_kwargs: Any) -> Any:
    raise failure(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

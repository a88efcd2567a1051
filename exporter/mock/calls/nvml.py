"""The object that stands where the module pynvml stands."""

from collections.abc import Callable
from typing import Any

import pynvml

from exporter.mock.calls.events import EventCalls
from exporter.mock.calls.field_values import FieldCalls
from exporter.mock.calls.gauges import GaugeCalls
from exporter.mock.calls.getters import GetterCalls
from exporter.mock.calls.gpm import GpmCalls
from exporter.mock.calls.library import Library, failure
from exporter.mock.calls.machine import MachineCalls
from exporter.mock.calls.mig import MigCalls
from exporter.mock.calls.structures import StructureCalls
from exporter.mock.machine.demands import Holders
from exporter.mock.machine.machine import Machine
from exporter.mock.machine.pods import MockPod, offered_devices
from exporter.mock.machine.scenario import Scenario
from exporter.model import Clock


class MockNvml:
    """A mock machine behind pynvml's own names.

    It has pynvml's functions as far as the mock knows them, and all of pynvml's constants, structures and errors. A
    function that it does not know raises FUNCTION_NOT_FOUND when called, as an old driver's library does.

    Attributes:
        machine: The simulated machine, for those who change it while it runs.
        redivide: Gives a GPU other MIG devices while it runs; see Library.redivide.

    Args:
        scenario: The machine.
        clock: Monotonic and wall time, such as the standard module `time`; the scenario begins now.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.machine = Machine(scenario, clock)
        library = Library(self.machine)
        self.redivide = library.redivide
        groups = (
            MachineCalls,
            MigCalls,
            GaugeCalls,
            GetterCalls,
            StructureCalls,
            FieldCalls,
            GpmCalls,
            EventCalls,
        )
        for calls in groups:
            group = calls(library)
            for name in dir(group):
                if name.startswith("nvml"):
                    setattr(self, name, getattr(group, name))

    def __getattr__(self, name: str) -> Any:
        found = getattr(pynvml, name)
        return _not_found if name.startswith("nvml") and callable(found) and not isinstance(found, type) else found

    def pci_devices(self) -> frozenset[str]:
        """Return the PCI names of the GPUs that the driver has now, as the kernel module lists them."""
        return frozenset(f"0000:{gpu.pci_bus:02x}:00.0" for gpu in self.machine.bound_gpus())

    def pods(self) -> tuple[MockPod, ...]:
        """Return the pods of now, as a kubelet of this machine would list them."""
        return self.machine.mock_pods()

    def devices(self) -> dict[str, tuple[str, ...]]:
        """Return the UUIDs that a device plugin of this machine would offer now, by resource."""
        return offered_devices(self.machine.gpus)

    def follow(self, holders: Callable[[], Holders]) -> None:
        """Ask this from now on who holds what, in the place of the scenario's own pods; see Machine.follow."""
        self.machine.follow(holders)

    def release_hangs(self) -> None:
        """Let every call that hangs return now, and none hang from now on."""
        self.machine.gate.release()
        for gpu in self.machine.gpus:
            gpu.gate.release()


def _not_found(*_args: Any, **_kwargs: Any) -> Any:
    raise failure(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

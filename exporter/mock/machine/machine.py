"""A mock machine as it runs: its clock, its GPUs, its pods and demands, and all that may be changed meanwhile."""

import threading
from collections.abc import Callable, Mapping

from exporter.mock.machine.absences import ReloadFault
from exporter.mock.machine.closed_loop import ClosedLoop
from exporter.mock.machine.demands import Demand, Holders
from exporter.mock.machine.device import MockGpu, build_gpus
from exporter.mock.machine.drive import Drive
from exporter.mock.machine.fault import Fault
from exporter.mock.machine.gate import Gate
from exporter.mock.machine.pods import MockPod, holders_of, mock_pods
from exporter.mock.machine.scenario import Scenario, ScenarioPod
from exporter.model import Clock


class Machine:
    """A scenario at work. Every method may be called from any thread; a change counts from the moment of its call.

    Args:
        scenario: The machine as it begins.
        clock: Monotonic and wall time; the scenario begins now.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.scenario = scenario
        self._clock = clock
        self._began = clock.monotonic()
        self._began_at = clock.time()
        self.gate = Gate(scenario.faults, self.now)
        self.gpus = build_gpus(scenario, self.now)
        self._loop = ClosedLoop(self.gpus, scenario.demands)
        self._pods = scenario.pods
        self._own_holders = holders_of(scenario.pods, self.gpus)
        self._holders: Callable[[], Holders] = lambda: self._own_holders
        self._changing = threading.Lock()
        self._loop.update(self._own_holders, 0.0)

    def now(self) -> float:
        """Return the seconds since the scenario began."""
        return self._clock.monotonic() - self._began

    def driver_us(self, t: float) -> int:
        """Return the driver's clock, microseconds since the epoch, at a time of the scenario."""
        return round((self._began_at + t) * 1e6)

    @property
    def driver(self) -> str:
        """The driver's version of now."""
        loaded = [fault for fault in self.gate.faults if isinstance(fault, ReloadFault) and fault.driver]
        versions = [fault.driver for fault in loaded if fault.spell.until_s <= self.now()]
        return versions[-1] if versions else self.scenario.driver

    def bound_gpus(self) -> tuple[MockGpu, ...]:
        """Return the GPUs that the driver has now."""
        return () if self.gate.is_absent() else tuple(gpu for gpu in self.gpus if not gpu.gate.is_absent())

    @property
    def pods(self) -> tuple[ScenarioPod, ...]:
        """The pods of now."""
        return self._pods

    @property
    def demands(self) -> Mapping[str, Demand]:
        """The demands of now, by name."""
        return self._loop.demands

    def mock_pods(self) -> tuple[MockPod, ...]:
        """Return the pods of now, as a kubelet of this machine would list them."""
        return mock_pods(self._pods, self.gpus)

    def follow(self, holders: Callable[[], Holders]) -> None:
        """Let demands follow what this says from now on about who holds what, in the place of the machine's own pods.

        Args:
            holders: Returns at once the pods that hold each device, by UUID. It is asked at every call on a GPU of a
                scenario with demands, and must not change the machine.
        """
        with self._changing:
            self._holders = holders
            self._update()

    def tick(self) -> None:
        """Let the loads follow who holds what now. Calls on a GPU do it too."""
        if self._loop.drives_nothing:
            return
        with self._changing:
            self._update()

    def set_pods(self, pods: tuple[ScenarioPod, ...]) -> None:
        """Put these pods in the place of all pods."""
        with self._changing:
            self._pods = pods
            self._own_holders = holders_of(pods, self.gpus)
            self._update()

    def set_demand(self, name: str, gpus: float) -> None:
        """Let a demand of the scenario be so many GPUs' worth."""
        with self._changing:
            self._loop.set_demand(name, gpus)
            self._update()

    def set_level(self, drive: Drive, level: float | None) -> None:
        """Let a GPU or GPU instance be so busy, 0 to 1, whatever its load; None gives it back to its load."""
        with self._changing:
            if level is None:
                drive.let_go(self.now())
            else:
                drive.force(level, self.now())
            self._update()

    def add_fault(self, gpu: MockGpu, fault: Fault) -> None:
        """Let something more go wrong with a GPU."""
        with self._changing:
            gpu.gate.add(fault)

    def mend(self, gpu: MockGpu) -> None:
        """End all that goes wrong with a GPU, and all that was to come."""
        with self._changing:
            gpu.gate.mend()

    def _update(self) -> None:
        self._loop.update(self._holders(), self.now())

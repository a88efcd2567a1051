"""A sampler of one GPU of a mock machine, on a clock that a test moves."""

from collections.abc import Iterable

import pynvml

from exporter.catalogue.convert import same
from exporter.catalogue.reading import LAYOUT, SLOW, Call, Field, Reading, Scope
from exporter.model import Missing, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.scrapes import Scrapes
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml
from tests.unit.mock_machines import scenario, started

TEMPERATURE = "nvmlDeviceGetTemperature"


POWER = "nvmlDeviceGetPowerUsage"


READINGS = (
    Call(TEMPERATURE, (Field("FAST", same),), (pynvml.NVML_TEMPERATURE_GPU,)),
    Call(POWER, (Field("SLOW", same),), period=SLOW),
    Call("nvmlSystemGetDriverVersion", (Field("ONCE", same),), scope=Scope.SYSTEM, period=LAYOUT),
)


H100 = "{profile: h100-sxm, load: 40}"


class Bench:
    """A sampler of one GPU of a mock machine."""

    def __init__(
        self, readings: Iterable[Reading], gpu: str = H100, interval_s: float = 1.0, *, is_mig_on: bool = False
    ) -> None:
        self.clock = FakeClock()
        self.scrapes = Scrapes()
        self.mock = started(scenario(f"gpus: [{gpu}]"), self.clock)
        self.nvml = FaultyNvml(self.mock)
        if is_mig_on:
            self.mock.machine.gpus[0].is_mig_on = True
        self.told: list[Missing] = []
        layout = find_layout(Calls(self.nvml), 0)
        assert isinstance(layout, Layout)
        device = select({0: layout}, parse_devices("f"))[0]
        self.sampler = Sampler(device, Calls(self.nvml), Pacing(self.clock, interval_s, self.scrapes), self.told.append)
        self.interval_s = interval_s
        self.follow(*readings)

    def follow(self, *readings: Reading) -> None:
        names = {field.name for reading in readings for field in reading.fields}
        self.sampler.follow(plan(names, readings))

    def read(self) -> dict[str, float | str]:
        """Return one more collection's values, an interval after the last."""
        self.clock.advance(self.interval_s)
        return {sample.field: sample.value for sample in self.sampler.collect().samples}

    def memory(self) -> dict[str, float | str]:
        """Return after one more collection the framebuffer of each instance by its UUID."""
        self.clock.advance(self.interval_s)
        samples = self.sampler.collect().samples
        return {
            s.entity.instance.uuids[0]: s.value for s in samples if s.entity.instance and s.field.endswith("FB_TOTAL")
        }

    def reasons(self) -> dict[str, Reason]:
        self.clock.advance(self.interval_s)
        return {missing.field: missing.reason for missing in self.sampler.collect().missing}

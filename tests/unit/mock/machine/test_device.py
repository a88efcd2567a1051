from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mock import Scenario
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import energy_of, scenario, started


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.lists(st.floats(0, 20), min_size=1, max_size=5))
def test_the_same_seed_gives_the_same_series(seed: int, pauses: list[float]) -> None:
    def series() -> list[tuple[object, ...]]:
        clock = FakeClock()
        nvml = started(two_waves(seed), clock)
        gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(2)]
        seen: list[tuple[object, ...]] = [(nvml.nvmlDeviceGetUUID(gpu),) for gpu in gpus]
        for pause in pauses:
            clock.advance(pause)
            seen += [(nvml.nvmlDeviceGetPowerUsage(gpu), energy_of(nvml, gpu)) for gpu in gpus]
        return seen

    assert series() == series()


def two_waves(seed: int) -> Scenario:
    wave = "{kind: wave, low_percent: 0, high_percent: 100, period_s: 60}"
    return scenario(f"seed: {seed}\ngpus: [{{profile: t4, count: 2, load: {wave}}}]")


def test_another_seed_gives_other_uuids_and_phases_and_gpus_do_not_swing_in_step() -> None:
    clock = FakeClock()
    machines = [started(two_waves(seed), clock) for seed in (1, 2)]
    gpus = [(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for nvml in machines for index in range(2)]
    clock.advance(5)
    assert len({nvml.nvmlDeviceGetUUID(gpu) for nvml, gpu in gpus}) == 4
    assert len({nvml.nvmlDeviceGetPowerUsage(gpu) for nvml, gpu in gpus}) == 4

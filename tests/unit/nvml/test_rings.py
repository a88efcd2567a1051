import ctypes
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynvml import NVML_GPU_UTILIZATION_SAMPLES as RING

from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device, Layout, find_layout, select
from exporter.nvml.rings import RingSample, read_ring
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started


class Bench:
    """A GPU of a mock machine whose rings are read."""

    def __init__(self, gpu: str = "{profile: h100-sxm, load: 40}") -> None:
        self.clock = FakeClock()
        self.nvml = FaultyNvml(started(scenario(f"gpus: [{gpu}]"), self.clock))
        layout = find_layout(Calls(self.nvml), 0)
        assert isinstance(layout, Layout)
        self.device: Device = select({0: layout}, parse_devices("f"))[0]

    def read(self, since_us: int = 0) -> list[RingSample] | Reason:
        return read_ring(Calls(self.nvml), self.device, RING, since_us)

    def answer(self, value_type: int, *samples: tuple[int, int]) -> None:
        self.nvml.replaced["nvmlDeviceGetSamples"] = lambda *_: (value_type, [_sample(*one) for one in samples])


def _sample(at_us: int, value: int) -> Any:
    sample = pynvml.c_nvmlSample_t()
    sample.timeStamp, sample.sampleValue.ullVal = at_us, value
    return sample


def test_a_ring_has_14_s_of_samples_each_a_mean_of_200_ms_oldest_first() -> None:
    samples = Bench().read()
    assert not isinstance(samples, Reason)
    assert [sample.percent for sample in samples] == [40] * 71
    assert samples[-1].at_us - samples[0].at_us == 14_000_000


def test_only_what_is_newer_is_read_and_nothing_new_is_no_failure() -> None:
    bench = Bench()
    known = bench.read()
    assert not isinstance(known, Reason)
    assert bench.read(known[-1].at_us) == []
    bench.clock.advance(1)
    newer = bench.read(known[-1].at_us)
    assert not isinstance(newer, Reason)
    assert len(newer) == 5


def test_a_ring_that_can_not_be_read_says_why() -> None:
    bench = Bench()
    for code, reason in (
        (pynvml.NVML_ERROR_NOT_SUPPORTED, Reason.NOT_SUPPORTED),
        (pynvml.NVML_ERROR_GPU_IS_LOST, Reason.GPU_LOST),
    ):
        bench.nvml.replaced["nvmlDeviceGetSamples"] = failing(code)
        assert bench.read() is reason
    bench.answer(99, (1, 40))
    assert bench.read() is Reason.OUT_OF_RANGE


def test_a_sample_that_is_no_percentage_is_left_out() -> None:
    bench = Bench()
    bench.answer(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, (1, 40), (2, 0xFFFFFFFF), (3, 101), (4, 100))
    assert bench.read() == [(1, 40), (4, 100)]


@pytest.mark.parametrize("value_type", range(8))
@settings(max_examples=20, deadline=None)
@given(samples=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))), since_us=st.integers(0, 9))
def test_whatever_a_driver_says_its_samples_are_new_and_sorted_percentages(
    value_type: int, samples: list[tuple[int, int]], since_us: int
) -> None:
    bench = Bench()
    bench.answer(value_type, *samples)
    found = bench.read(since_us)
    if not isinstance(found, Reason):
        assert found == sorted(found)
        assert all(sample.at_us > since_us and 0 <= sample.percent <= 100 for sample in found)
    assert ctypes.sizeof(pynvml.c_nvmlSample_t) == 16

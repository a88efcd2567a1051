import math
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from exporter.catalogue.convert import same
from exporter.catalogue.reading import ALL_LINKS, Field, Scope, Tracked, Tracker
from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

RX, TX = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX
BUSY = Tracked(Tracker.GPM, (pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,), (Field("BUSY", same),), Scope.INSTANCE)
RATE = Tracked(Tracker.RATES, (ALL_LINKS, RX, TX), (Field("RATE", same),))


def links(received: int, transmitted: int, at_us: int) -> Callable[..., Any]:
    """Return a nvmlDeviceGetFieldValues that answers two counters."""

    def answer(_handle: Any, ids: tuple[tuple[int, int], ...]) -> Any:
        values = (pynvml.c_nvmlFieldValue_t * len(ids))()
        for value, (field_id, _) in zip(values, ids, strict=True):
            value.valueType, value.timestamp = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, at_us
            value.value.ullVal = received if field_id == RX else transmitted
        return values

    return answer


@pytest.fixture
def rates() -> Bench:
    return Bench(Tracker.RATES, "{profile: h100-sxm, nvlink: true, load: 50}")


def read_links(bench: Bench, received: int, transmitted: int, at_us: int, after_s: float = 1.0) -> Any:
    bench.nvml.replaced["nvmlDeviceGetFieldValues"] = links(received, transmitted, at_us)
    (answer,) = bench.read(RATE, after_s=after_s)
    return answer


def test_a_first_reading_has_no_rate_and_the_next_has_that_of_the_sum(rates: Bench) -> None:
    assert read_links(rates, 1000, 500, 10_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 4000, 1500, 11_000_000) == 4000


def test_a_rate_goes_by_the_drivers_clock(rates: Bench) -> None:
    read_links(rates, 0, 0, 10_000_000)
    assert read_links(rates, 800, 0, 10_800_000, after_s=1.0) == pytest.approx(1000)


def test_a_driver_whose_clock_was_set_meanwhile_gives_no_rate_once(rates: Bench) -> None:
    read_links(rates, 0, 0, 10_000_000)
    assert read_links(rates, 1000, 0, 10_100_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 2000, 0, 9_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 3000, 0, 99_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 4000, 0, 100_000_000) == 1000


def test_a_counter_that_began_anew_gives_no_rate_whatever_the_other_one_does(rates: Bench) -> None:
    read_links(rates, 5000, 1000, 1_000_000)
    assert read_links(rates, 10, 90_000, 2_000_000) is Reason.NO_SAMPLE_YET
    assert read_links(rates, 20, 90_000, 3_000_000) == 10


def test_a_rate_begins_anew_after_a_reading_that_failed(rates: Bench) -> None:
    read_links(rates, 0, 0, 1_000_000)
    rates.nvml.replaced["nvmlDeviceGetFieldValues"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    assert rates.read(RATE, after_s=1.0) == [Reason.UNKNOWN]
    assert read_links(rates, 100, 0, 3_000_000) == 50


@pytest.mark.parametrize(("kind", "reading"), [(Tracker.RATES, RATE), (Tracker.GPM, BUSY)])
def test_what_was_read_before_an_interruption_is_compared_with_nothing(kind: Tracker, reading: Tracked) -> None:
    bench = Bench(kind, "{profile: h100-sxm, nvlink: true, load: 50}")
    bench.read(reading)
    bench.read(reading, after_s=1.0)
    bench.tracker.interrupt()
    assert bench.read(reading, after_s=1.0) == [Reason.NO_SAMPLE_YET]
    (answer,) = bench.read(reading, after_s=1.0)
    assert math.isfinite(answer)


def test_links_that_a_gpu_does_not_have_are_not_supported() -> None:
    assert Bench(Tracker.RATES, "{profile: t4}").read(RATE) == [Reason.NOT_SUPPORTED]


def test_several_rates_are_read_by_one_call(rates: Bench) -> None:
    received = Tracked(Tracker.RATES, (ALL_LINKS, RX), (Field("RECEIVED", same),))
    rates.read(RATE, received)
    total, part = rates.read(RATE, received, after_s=1.0)
    assert 0 < part < total
    assert rates.nvml.calls["nvmlDeviceGetFieldValues"] == 2

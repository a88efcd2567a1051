import pynvml

from exporter.catalogue.clock_events import REASON_NAMES
from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, Tracked, Tracker
from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

TOTAL = Tracked(Tracker.CLOCK_EVENTS, (), (Field("TOTAL", same),))
WITHIN = Tracked(Tracker.CLOCK_EVENTS, (300_000,), (Field("WITHIN", same),))
IDLE, POWER, HOT = (
    pynvml.nvmlClocksEventReasonGpuIdle,
    pynvml.nvmlClocksEventReasonSwPowerCap,
    pynvml.nvmlClocksEventReasonHwThermalSlowdown,
)


def bench_of(*masks: int) -> Bench:
    """Return a bench whose GPU tells these reasons, one after the other."""
    bench = Bench(Tracker.CLOCK_EVENTS, "{profile: h100-sxm}")
    told = list(masks)
    bench.nvml.replaced["nvmlDeviceGetCurrentClocksEventReasons"] = lambda _: told.pop(0)
    return bench


def test_a_reason_counts_when_it_begins_and_not_while_it_stays_or_was_there_from_the_start() -> None:
    bench = bench_of(IDLE, IDLE | POWER, POWER, 0, POWER | HOT, 1 << 60)
    totals = [{tally.what: tally.value for tally in bench.read(TOTAL, after_s=1)} for _ in range(6)]
    assert totals[0] == dict.fromkeys(REASON_NAMES.values(), 0)
    assert [total["power_cap"] for total in totals] == [0, 1, 1, 1, 2, 2]
    assert totals[-1] == totals[0] | {"power_cap": 2, "hw_thermal": 1}


def test_within_the_window_the_collections_count_at_which_a_reason_was_there() -> None:
    bench = bench_of(0, IDLE, IDLE | HOT, IDLE, 0, 0)
    found = [bench.read(WITHIN, after_s=after_s) for after_s in (0, 1, 1, 1, 1, 300)]
    assert found == [
        [("", 0)],
        [("gpu_idle", 1)],
        [("gpu_idle", 2), ("hw_thermal", 1)],
        [("gpu_idle", 3), ("hw_thermal", 1)],
        [("gpu_idle", 3), ("hw_thermal", 1)],
        [("", 0)],
    ]


def test_an_older_driver_tells_the_reasons_under_their_older_name() -> None:
    bench = Bench(Tracker.CLOCK_EVENTS, "{profile: h100-sxm}")
    bench.nvml.replaced |= {
        "nvmlDeviceGetCurrentClocksEventReasons": failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda _: HOT,
    }
    assert bench.read(WITHIN) == [("hw_thermal", 1)]


def test_reasons_that_can_not_be_told_are_no_0() -> None:
    bench = Bench(Tracker.CLOCK_EVENTS, "{profile: h100-sxm}")
    bench.nvml.replaced["nvmlDeviceGetCurrentClocksEventReasons"] = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert bench.read(WITHIN, TOTAL) == [Reason.NOT_SUPPORTED] * 2

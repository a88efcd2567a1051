import ctypes
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.busy_seconds import SERIES
from exporter.catalogue.convert import same
from exporter.catalogue.reading import LAYOUT, LINKS, SLOW, Call, Field, FieldValue, Reading, Scope, Tracked, Tracker
from exporter.model import Entity, Gpu, Missing, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import life_s
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.sampling.sources import TrackerSource
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation
from exporter.settings import BusySource, parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started

TEMPERATURE = "nvmlDeviceGetTemperature"
POWER = "nvmlDeviceGetPowerUsage"
READINGS = (
    Call(TEMPERATURE, (Field("FAST", same),), (pynvml.NVML_TEMPERATURE_GPU,)),
    Call(POWER, (Field("SLOW", same),), period=SLOW),
    Call("nvmlSystemGetDriverVersion", (Field("ONCE", same),), scope=Scope.SYSTEM, period=LAYOUT),
)
UNTIL_A_FABRIC_IS_JOINED = {"DCGM_FI_DEV_FABRIC_MANAGER_ERROR", "DCGM_FI_DEV_FABRIC_CLUSTER_UUID"}
H100 = "{profile: h100-sxm, load: 40}"


class Bench:
    """A sampler of one GPU of a mock machine."""

    def __init__(
        self, readings: Iterable[Reading], gpu: str = H100, interval_s: float = 1.0, *, is_mig_on: bool = False
    ) -> None:
        self.clock = FakeClock()
        self.mock = started(scenario(f"gpus: [{gpu}]"), self.clock)
        self.nvml = FaultyNvml(self.mock)
        if is_mig_on:
            self.mock.machine.gpus[0].is_mig_on = True
        self.told: list[Missing] = []
        layout = find_layout(Calls(self.nvml), 0)
        assert isinstance(layout, Layout)
        device = select({0: layout}, parse_devices("f"))[0]
        self.sampler = Sampler(device, Calls(self.nvml), self.clock, interval_s, self.told.append)
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


def test_a_snapshot_says_when_it_was_taken_and_when_nothing_in_it_is_true_any_more() -> None:
    bench = Bench(READINGS, interval_s=2.0)
    snapshot = bench.sampler.collect()
    assert (snapshot.taken, snapshot.taken_at) == (bench.clock.now, bench.clock.wall)
    assert snapshot.expires == bench.clock.now + 6
    assert snapshot.gpu.uuid == bench.nvml.nvmlDeviceGetUUID(bench.nvml.nvmlDeviceGetHandleByIndex(0))
    assert snapshot.gone is None


def test_the_cost_of_a_collection_is_told_with_its_calls() -> None:
    bench = Bench(READINGS)
    first, second = bench.sampler.collect().cost, bench.sampler.collect().cost
    assert (first.nvml_calls, second.nvml_calls) == (3, 1)
    assert 0 < second.nvml_s < second.total_s


@pytest.mark.parametrize(("interval_s", "slow_reads"), [(1.0, 3), (7.0, 14), (30.0, 61), (100.0, 121)])
def test_readings_keep_their_own_periods_whatever_the_interval_is(interval_s: float, slow_reads: int) -> None:
    bench = Bench(READINGS, interval_s=interval_s)
    for _ in range(121):
        assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}
    assert bench.nvml.calls[TEMPERATURE] == 121
    assert bench.nvml.calls["nvmlSystemGetDriverVersion"] == 1
    assert bench.nvml.calls[POWER] == slow_reads


def test_a_collection_that_comes_a_little_early_is_no_period_lost() -> None:
    bench = Bench(READINGS, interval_s=30)
    bench.sampler.collect()
    bench.clock.advance(59.99)
    bench.sampler.collect()
    assert bench.nvml.calls[POWER] == 2


@pytest.mark.parametrize(("interval_s", "life"), [(0.1, 3), (1, 3), (30, 90)])
def test_a_sample_lives_for_three_periods_and_at_least_3_s(interval_s: float, life: float) -> None:
    bench = Bench(READINGS, interval_s=interval_s)
    expires = {sample.field: sample.expires - bench.clock.now for sample in bench.sampler.collect().samples}
    assert expires == {"FAST": life, "SLOW": 180, "ONCE": float("inf")}
    assert life_s(60) == 180


def slow(bench: Bench, *took_s: float) -> None:
    """Let the next temperatures take so long, and the later ones nothing."""
    real, remaining = bench.mock.nvmlDeviceGetTemperature, list(took_s)

    def answer(*args: Any) -> Any:
        bench.clock.advance(remaining.pop(0) if remaining else 0.0)
        return real(*args)

    bench.nvml.replaced[TEMPERATURE] = answer


def test_values_of_collections_that_always_take_long_are_shown_until_the_next_one_ends() -> None:
    bench = Bench(READINGS)
    slow(bench, *[4.0] * 6)
    for _ in range(3):
        bench.read()
    for _ in range(3):
        bench.clock.advance(1)
        snapshot = bench.sampler.collect()
        assert snapshot.taken == bench.clock.now
        assert snapshot.expires == bench.clock.now + 12
        assert min(sample.expires for sample in snapshot.samples) > bench.clock.now + 1 + 4


def test_one_call_that_hung_makes_no_later_value_live_longer() -> None:
    bench = Bench(READINGS)
    slow(bench, 0.0, 3600.0)
    bench.read()
    bench.read()
    bench.clock.advance(1)
    snapshot = bench.sampler.collect()
    assert snapshot.expires == bench.clock.now + 3
    assert {s.field: s.expires for s in snapshot.samples}["FAST"] == bench.clock.now + 3


def test_what_was_read_before_a_call_hung_is_not_shown_after_it() -> None:
    bench = Bench((Call(POWER, (Field("EARLY", same),)), READINGS[0]))
    slow(bench, 0.0, 30.0)
    bench.read()
    bench.clock.advance(1)
    expires = {sample.field: sample.expires for sample in bench.sampler.collect().samples}
    assert expires["EARLY"] < bench.clock.now


COMPARED = {"DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"}


def compared(values: Mapping[str, float | str]) -> set[str]:
    return COMPARED & values.keys()


@pytest.fixture
def comparing() -> Bench:
    """Return a sampler that has values which compare two readings."""
    catalogue = [reading for reading in CATALOGUE if isinstance(reading, Tracked) or TEMPERATURE in repr(reading)]
    bench = Bench(catalogue, "{profile: h100-sxm, nvlink: true, load: 40}")
    bench.read()
    assert compared(bench.read()) == COMPARED
    return bench


def test_nothing_is_compared_with_a_reading_from_before_the_gpu_was_lost(comparing: Bench) -> None:
    lost = failing(pynvml.NVML_ERROR_GPU_IS_LOST)
    comparing.nvml.replaced |= {TEMPERATURE: lost, "nvmlDeviceGetFieldValues": lost}
    comparing.clock.advance(1)
    assert comparing.sampler.collect().gone is Reason.GPU_LOST
    comparing.nvml.replaced.clear()
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_pause_of_the_collections(comparing: Bench) -> None:
    comparing.clock.advance(30)
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_suspension_in_which_the_monotonic_clock_stood(comparing: Bench) -> None:
    comparing.clock.wall += 3600
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_nothing_is_compared_over_a_call_that_hung(comparing: Bench) -> None:
    slow(comparing, 30.0)
    assert compared(comparing.read()) == set()
    assert compared(comparing.read()) == COMPARED


def test_what_is_read_seldom_expires_by_the_time_at_which_it_was_read() -> None:
    bench = Bench(READINGS)
    read_at = bench.clock.now
    bench.sampler.collect()
    bench.clock.advance(50)
    expires = {sample.field: sample.expires for sample in bench.sampler.collect().samples}
    assert expires["SLOW"] == read_at + 180
    assert expires["FAST"] == bench.clock.now + 3


def test_what_is_not_supported_is_asked_once_and_told_once() -> None:
    bench = Bench((*READINGS, FieldValue(pynvml.NVML_FI_DEV_MEMORY_TEMP, (Field("MEMORY", same),))), "{profile: t4}")
    bench.nvml.replaced[TEMPERATURE] = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    for _ in range(100):
        assert bench.reasons() == {"FAST": Reason.NOT_SUPPORTED, "MEMORY": Reason.NOT_SUPPORTED}
    assert bench.nvml.calls[TEMPERATURE] == 1
    assert bench.nvml.calls["nvmlDeviceGetFieldValues"] == 1
    assert [missing.field for missing in bench.told] == ["FAST", "MEMORY"]


def test_a_driver_version_that_is_no_utf_8_costs_nothing_but_its_bad_bytes() -> None:
    bench = Bench(READINGS)
    bench.nvml.replaced["nvmlSystemGetDriverVersion"] = b"\xf8580".decode
    assert bench.read()["ONCE"] == "\ufffd580"


@pytest.mark.parametrize("error", [AttributeError, TypeError, ValueError, OSError, ctypes.ArgumentError])
def test_whatever_a_call_raises_costs_that_reading_alone(error: type[Exception]) -> None:
    def raising(*_: object) -> None:
        raise error

    bench = Bench((READINGS[0], Call(POWER, (Field("POWER", same),))))
    bench.nvml.replaced[TEMPERATURE] = raising
    assert bench.read().keys() == {"POWER"}
    assert bench.reasons() == {"FAST": Reason.UNREADABLE}


def test_an_answer_of_which_nothing_can_be_made_costs_that_reading_alone() -> None:
    """A structure without the member, a list without a first, text where a number is due."""
    bench = Bench(CATALOGUE)
    bench.nvml.replaced |= {
        "nvmlDeviceGetUtilizationRates": lambda _: object(),
        "nvmlDeviceGetEncoderUtilization": lambda _: [],
        "nvmlDeviceGetMemoryInfo": lambda *_: b"\xf8".decode(),
    }
    values = bench.read()
    assert {"DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DEV_XID_ERROR"} <= values.keys()
    assert not {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_FB_USED"} & values.keys()
    reasons = bench.reasons()
    assert {reasons[f"DCGM_FI_DEV_{name}"] for name in ("GPU_UTIL", "ENC_UTIL", "FB_USED")} == {Reason.UNREADABLE}


def test_labels_of_which_nothing_can_be_made_cost_that_reading_alone() -> None:
    def raising(_: object) -> tuple[tuple[str, str], ...]:
        raise KeyError

    temperature = Call(TEMPERATURE, (Field("FAST", same, raising),), (pynvml.NVML_TEMPERATURE_GPU,))
    bench = Bench((temperature, Call(POWER, (Field("POWER", same),))))
    assert bench.read().keys() == {"POWER"}
    assert bench.reasons() == {"FAST": Reason.UNREADABLE}


def test_a_gpu_of_which_nothing_can_be_read_is_lost() -> None:
    bench = Bench(READINGS[:2])
    bench.nvml.replaced |= {TEMPERATURE: int, POWER: int}
    assert bench.sampler.collect().gone is Reason.UNREADABLE


def test_a_library_without_version_2_of_memory_info_gives_what_version_1_tells() -> None:
    """As drivers before R510 are. Used memory counts what is reserved there, and DCGM prints it so, too."""
    memory = pynvml.c_nvmlMemory_t()
    memory.total, memory.free, memory.used = 85_520_809_984, 79_528_394_752, 5_992_415_232

    def version_1(_: object, version: int | None = None) -> Any:
        return memory if version is None else failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)()

    bench = Bench(CATALOGUE)
    bench.nvml.replaced["nvmlDeviceGetMemoryInfo"] = version_1
    for _ in range(2):
        values = bench.read()
        framebuffer = {name.removeprefix("DCGM_FI_DEV_FB_"): v for name, v in values.items() if "_DEV_FB_" in name}
        assert framebuffer.pop("USED_RATIO") == pytest.approx(5_992_415_232 / 85_520_809_984)
        assert framebuffer == {
            "TOTAL": 81_559,
            "FREE": 75_844,
            "USED": 5_714,
            "CAPACITY_BYTES": 85_520_809_984,
            "FREE_BYTES": 79_528_394_752,
            "USED_BYTES": 5_992_415_232,
        }
    assert bench.reasons()["DCGM_FI_DEV_FB_RESERVED"] is Reason.NOT_SUPPORTED


@pytest.mark.parametrize("garbage", [808_334_905, 4_294_967_295, 101])
def test_a_utilization_that_can_not_be_costs_that_value_alone_while_it_lasts(garbage: int) -> None:
    bench = Bench(CATALOGUE)
    rates = pynvml.c_nvmlUtilization_t()
    rates.gpu, rates.memory = garbage, 23
    bench.nvml.replaced["nvmlDeviceGetUtilizationRates"] = lambda _: rates
    bench.read()
    wrong = {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO"}
    assert {field for field, reason in bench.reasons().items() if reason is Reason.OUT_OF_RANGE} == wrong
    assert {missing.field for missing in bench.told if missing.reason is Reason.OUT_OF_RANGE} == wrong
    values = bench.read()
    assert not wrong & values.keys()
    assert values["DCGM_FI_DEV_MEM_COPY_UTIL"] == 23
    rates.gpu = 40
    assert bench.read()["DCGM_FI_DEV_GPU_UTIL"] == 40


def test_what_was_not_supported_is_asked_again_after_ten_minutes() -> None:
    """A driver says so too while it is not ready: one such answer must not cost a series for good."""
    bench = Bench(READINGS)
    bench.nvml.replaced[POWER] = failing(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    assert "SLOW" not in bench.read()
    del bench.nvml.replaced[POWER]
    bench.clock.advance(590)
    assert "SLOW" not in bench.read()
    bench.clock.advance(20)
    assert "SLOW" in bench.read()


def test_what_was_not_supported_is_asked_again_one_reading_a_collection() -> None:
    """A GPU that lacks much must not pay for all of it at once."""
    bench = Bench(READINGS)
    for function in (TEMPERATURE, POWER):
        bench.nvml.replaced[function] = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    bench.read()
    bench.clock.advance(600)
    assert (bench.nvml.calls[TEMPERATURE], bench.nvml.calls[POWER]) == (1, 1)
    bench.read()
    assert (bench.nvml.calls[TEMPERATURE], bench.nvml.calls[POWER]) == (2, 1)
    bench.read()
    assert (bench.nvml.calls[TEMPERATURE], bench.nvml.calls[POWER]) == (2, 2)
    bench.read()
    assert (bench.nvml.calls[TEMPERATURE], bench.nvml.calls[POWER]) == (2, 2)


def test_one_field_value_that_is_not_supported_leaves_the_others_in_one_call() -> None:
    values = (
        FieldValue(pynvml.NVML_FI_DEV_MEMORY_TEMP, (Field("MEMORY", same),)),
        FieldValue(pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, (Field("ENERGY", same),)),
        FieldValue(pynvml.NVML_FI_DEV_POWER_INSTANT, (Field("NOW", same),), period=SLOW),
    )
    bench = Bench(values, "{profile: t4}")
    asked: list[list[int]] = []
    real = bench.nvml.nvmlDeviceGetFieldValues

    def recorded(handle: object, ids: tuple[tuple[int, int], ...]) -> object:
        asked.append([field_id for field_id, _ in ids])
        return real(handle, ids)

    bench.nvml.replaced["nvmlDeviceGetFieldValues"] = recorded
    for _ in range(3):
        assert bench.read().keys() == {"ENERGY", "NOW"}
    ids = [value.field_id for value in values]
    assert asked == [ids, ids[1:2], ids[1:2]]
    assert [missing.field for missing in bench.told] == ["MEMORY"]


ERRORS = "nvmlDeviceGetNvLinkErrorCounter"


def errors_of_link(link: int) -> int:
    """Answer as a GPU of three links, of which the last one is down."""
    if link >= 2:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return 10 + link


def test_each_link_that_a_gpu_has_is_an_entity_of_its_own_and_a_sum_is_the_gpus() -> None:
    readings = (
        Call(ERRORS, (Field("EACH", same),), (0,), Scope.LINK),
        Call(ERRORS, (Field("SUM", same),), (0,), Scope.ALL_LINKS),
    )
    bench = Bench(())
    bench.nvml.replaced[ERRORS] = lambda _handle, link, _counter: errors_of_link(link)
    bench.follow(*readings)
    for _ in range(2):
        samples = bench.sampler.collect().samples
        found = {(sample.field, sample.entity.link): sample.value for sample in samples}
        assert found == {("EACH", 0): 10, ("EACH", 1): 11, ("SUM", None): 21}


def test_a_link_that_comes_up_late_has_its_series_when_it_is_asked_again() -> None:
    bench = Bench(())
    bench.nvml.replaced[ERRORS] = lambda _handle, link, _counter: errors_of_link(link)
    bench.follow(Call(ERRORS, (Field("EACH", same),), (0,), Scope.LINK))
    bench.sampler.collect()
    bench.nvml.replaced[ERRORS] = lambda _handle, link, _counter: link
    bench.clock.advance(600)
    numbers = [{sample.entity.link for sample in bench.sampler.collect().samples} for _ in LINKS[2:]]
    assert numbers[0] == {0, 1, 2}
    assert numbers[-1] == set(LINKS)


def test_a_sum_over_links_of_which_one_fails_has_no_value() -> None:
    bench = Bench(READINGS[:1])
    bench.nvml.replaced[ERRORS] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.follow(READINGS[0], Call(ERRORS, (Field("SUM", same),), (0,), Scope.ALL_LINKS))
    assert bench.reasons() == {"SUM": Reason.UNKNOWN}


@pytest.mark.parametrize(
    ("one", "reason"), [(0xFFFFFFFF, Reason.OUT_OF_RANGE), (float("nan"), Reason.NOT_A_NUMBER), ("?", Reason.UNKNOWN)]
)
def test_a_sum_over_links_of_which_one_answers_no_number_has_no_value(one: object, reason: Reason) -> None:
    bench = Bench(READINGS[:1])
    bench.nvml.replaced[ERRORS] = lambda _handle, link, _counter: one if link == 1 else errors_of_link(link)
    bench.follow(READINGS[0], Call(ERRORS, (Field("SUM", same),), (0,), Scope.ALL_LINKS))
    assert bench.reasons() == {"SUM": reason}


def test_a_field_value_of_each_link_is_asked_for_in_the_one_call() -> None:
    rx = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX
    values = (
        FieldValue(rx, (Field("EACH", same),), scope=Scope.LINK),
        FieldValue(pynvml.NVML_FI_DEV_MEMORY_TEMP, (Field("MEMORY", same),)),
    )
    bench = Bench(values, "{profile: h100-sxm, nvlink: true, load: 50}")
    samples = bench.sampler.collect().samples
    assert [sample.entity.link for sample in samples] == [*LINKS, None]
    assert bench.nvml.calls["nvmlDeviceGetFieldValues"] == 1


def test_what_failed_is_missing_and_told_each_time_until_it_is_back() -> None:
    bench = Bench(READINGS)
    bench.nvml.replaced[TEMPERATURE] = failing(pynvml.NVML_ERROR_NO_PERMISSION)
    assert bench.reasons() == {"FAST": Reason.NOT_PERMITTED}
    assert bench.read().keys() == {"SLOW", "ONCE"}
    assert [missing.reason for missing in bench.told] == [Reason.NOT_PERMITTED] * 2
    del bench.nvml.replaced[TEMPERATURE]
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}


def test_what_is_read_once_is_tried_again_after_a_minute_where_it_failed() -> None:
    bench = Bench(READINGS)
    bench.nvml.replaced["nvmlSystemGetDriverVersion"] = failing(pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(10):
        assert "ONCE" not in bench.read()
    assert bench.nvml.calls["nvmlSystemGetDriverVersion"] == 1
    del bench.nvml.replaced["nvmlSystemGetDriverVersion"]
    bench.clock.advance(60)
    assert bench.read()["ONCE"] == "580.159.04"


def test_a_value_that_is_not_a_number_is_missing() -> None:
    bench = Bench((Call(TEMPERATURE, (Field("FAST", same),), (0,)), *READINGS[1:]))
    bench.nvml.replaced[TEMPERATURE] = lambda *_: float("nan")
    assert bench.reasons() == {"FAST": Reason.NOT_A_NUMBER}


def test_a_first_pair_that_is_not_there_yet_is_missing_without_being_a_failure() -> None:
    bench = Bench(CATALOGUE)
    first = {missing.field: missing.reason for missing in bench.sampler.collect().missing}
    bench.clock.advance(0.15)
    second = {missing.field: missing.reason for missing in bench.sampler.collect().missing}
    waiting = {name for name, reason in first.items() if reason is Reason.NO_SAMPLE_YET}
    assert waiting >= {"DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_PROF_PCIE_TX_BYTES", *UNTIL_A_FABRIC_IS_JOINED}
    assert {name for name, reason in second.items() if reason is Reason.NO_SAMPLE_YET} == UNTIL_A_FABRIC_IS_JOINED
    assert {missing.reason for missing in bench.told} == {Reason.NOT_SUPPORTED}


def test_busy_seconds_go_on_when_the_counters_file_is_read_again() -> None:
    names = {counter.field for source in BusySource for counter in SERIES[source]}
    bench = Bench([reading for reading in CATALOGUE if reading.fields[0].name in names])
    bench.read()
    before = [bench.read() for _ in range(10)][-1]
    bench.follow(*CATALOGUE)
    after = bench.read()
    assert {name for name in names if "observed" in name and float(after[name]) < float(before[name]) + 0.9} == set()


def test_a_lost_gpu_has_no_samples_but_the_reason_and_is_back_when_it_answers() -> None:
    bench = Bench(READINGS, "{profile: h100-sxm, faults: [{kind: lost, at_s: 5, until_s: 8}]}")
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}
    bench.clock.advance(5)
    snapshot = bench.sampler.collect()
    assert (snapshot.gone, snapshot.samples) == (Reason.GPU_LOST, ())
    gpu: Gpu = bench.sampler.device.gpu
    assert snapshot.missing == (Missing(Entity(gpu), "all", Reason.GPU_LOST),)
    assert bench.told == list(snapshot.missing)
    assert snapshot.cost.nvml_calls == 1
    bench.clock.advance(3)
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}


def test_a_loss_that_a_seldom_reading_tells_ends_when_that_answers() -> None:
    bench = Bench(READINGS[1:2], "{profile: h100-sxm, faults: [{kind: lost, at_s: 60, until_s: 65}]}")
    bench.sampler.collect()
    bench.clock.advance(62)
    assert bench.sampler.collect().gone is Reason.GPU_LOST
    bench.clock.advance(5)
    assert bench.read().keys() == {"SLOW"}


def test_a_gpu_of_which_every_reading_fails_is_gone_and_one_that_answers_anything_is_not() -> None:
    bench = Bench(READINGS)
    bench.read()
    bench.nvml.replaced[TEMPERATURE] = failing(pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(3):
        assert bench.read().keys() == {"SLOW", "ONCE"}, "what is read once a minute answers, too"
    bench.nvml.replaced[POWER] = failing(pynvml.NVML_ERROR_UNKNOWN)
    bench.clock.advance(60)
    assert bench.sampler.collect().gone is Reason.UNKNOWN


def test_a_gpu_that_answers_nothing_is_gone_at_once_and_complete_when_it_is_back() -> None:
    bench = Bench(READINGS)
    bench.read()
    bench.nvml.replaced |= dict.fromkeys((TEMPERATURE, POWER), failing(pynvml.NVML_ERROR_UNKNOWN))
    for _ in range(3):
        assert bench.read() == {}
    bench.nvml.replaced.clear()
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}


def test_a_slow_reading_that_fails_does_not_take_away_a_gpu_whose_other_readings_are_slower() -> None:
    bench = Bench((READINGS[1], Call("nvmlDeviceGetSerial", (Field("SERIAL", same),), period=LAYOUT)))
    bench.nvml.replaced[POWER] = failing(pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(3):
        assert bench.read().keys() == {"SERIAL"}
        bench.clock.advance(SLOW)


@pytest.mark.parametrize(
    ("code", "gone"),
    [
        (pynvml.NVML_ERROR_UNKNOWN, Reason.UNKNOWN),
        (pynvml.NVML_ERROR_NO_PERMISSION, Reason.NOT_PERMITTED),
        (pynvml.NVML_ERROR_TIMEOUT, Reason.TIMEOUT),
    ],
)
def test_a_gpu_of_which_every_call_fails_is_gone_though_its_event_set_and_the_system_answer(
    code: int, gone: Reason
) -> None:
    bench = Bench(CATALOGUE)
    real = bench.mock
    for name in dir(bench.mock):
        if name.startswith(("nvmlDevice", "nvmlGpm")) and name != "nvmlDeviceRegisterEvents":
            bench.nvml.replaced[name] = failing(code)
    bench.nvml.replaced["nvmlDeviceGetSupportedEventTypes"] = real.nvmlDeviceGetSupportedEventTypes
    for _ in range(3):
        bench.clock.advance(1)
        assert bench.sampler.collect().gone is gone


def test_system_wide_and_parents_values_stand_on_each_instance_and_memory_is_their_own() -> None:
    bench = Bench(CATALOGUE, "{profile: a100-sxm, mig: [3g.40gb, {profile: 2g.20gb, compute: [1, 1]}]}")
    bench.sampler.collect()
    samples = bench.sampler.collect().samples
    by_field: dict[str, list[float | str]] = {}
    for sample in samples:
        assert (sample.entity.instance is None) == (sample.field == "DCGM_EXP_GPU_HEALTH_STATUS")
        by_field.setdefault(sample.field, []).append(sample.value)
    assert by_field["DCGM_FI_SYSTEM_DRIVER_VERSION"] == ["580.159.04"] * 2
    power = by_field["DCGM_FI_DEV_BOARD_POWER_WATTS"]
    assert power[0] == power[1]
    assert len(set(by_field["DCGM_FI_DEV_FB_TOTAL"])) == 2
    assert "DCGM_FI_DEV_GPU_UTIL" not in by_field


@pytest.mark.parametrize("reuses_handles", [True, False])
def test_no_instance_shows_anothers_memory_when_handles_change_hands(reuses_handles: bool) -> None:
    bench = Bench(CATALOGUE, "{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}")
    right = bench.memory()
    assert len(set(right.values())) == 2
    (gpu,) = bench.mock.machine.gpus
    bench.mock.redivide(gpu, gpu.instances[::-1], reuses_handles=reuses_handles)
    assert bench.memory() == {}
    assert bench.sampler.is_outdated
    bench.mock.redivide(gpu, gpu.instances[::-1], reuses_handles=reuses_handles)
    if reuses_handles:
        assert bench.memory() == right, "the handles lead to the same instances again"
        assert not bench.sampler.is_outdated


def test_an_instance_that_refuses_a_call_that_it_answered_asks_for_a_new_look_and_is_not_given_up() -> None:
    bench = Bench(CATALOGUE, "{profile: a100-sxm, mig: [3g.40gb, 2g.20gb]}")
    right = bench.memory()
    assert not bench.sampler.is_outdated
    bench.nvml.replaced["nvmlDeviceGetMemoryInfo"] = failing(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    for _ in range(3):
        assert bench.memory() == {}
        assert bench.sampler.is_outdated
    del bench.nvml.replaced["nvmlDeviceGetMemoryInfo"]
    assert bench.memory() == right
    assert not bench.sampler.is_outdated


@pytest.mark.parametrize("is_on", [True, False])
def test_a_gpu_whose_mig_mode_changes_asks_for_a_new_look(is_on: bool) -> None:
    bench = Bench(CATALOGUE, "{profile: a100-sxm}", is_mig_on=not is_on)
    bench.read()
    assert not bench.sampler.is_outdated
    bench.mock.machine.gpus[0].is_mig_on = is_on
    bench.read()
    assert bench.sampler.is_outdated


def test_a_new_plan_asks_for_other_fields_and_what_trackers_know_stays() -> None:
    gpu = "{profile: h100-sxm, nvlink: true, load: 40, faults: [{kind: xid, at_s: 5, code: 79}]}"
    tracked = [reading for reading in CATALOGUE if isinstance(reading, Tracked)]
    bench = Bench(tracked, gpu)
    bench.read()
    bench.clock.advance(6)
    assert bench.read()["DCGM_FI_DEV_XID_ERROR"] == 79
    bench.follow(*READINGS, *tracked)
    values = bench.read()
    assert values["DCGM_FI_DEV_XID_ERROR"] == 79
    assert values.keys() >= {"FAST", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"}
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 1
    bench.follow(*READINGS)
    assert bench.read().keys() == {"FAST", "SLOW", "ONCE"}
    bench.follow(*tracked)
    values = bench.read()
    assert values["DCGM_FI_DEV_XID_ERROR"] == 79
    assert bench.nvml.calls["nvmlDeviceRegisterEvents"] == 1
    assert not {name for name in values if "PROF" in name or "THROUGHPUT" in name}, "the last readings are too old"


def test_what_trackers_hold_is_given_back_in_the_end() -> None:
    bench = Bench(CATALOGUE)
    bench.read()
    bench.read()
    bench.sampler.close()
    assert bench.nvml.calls["nvmlEventSetFree"] == 1
    assert bench.nvml.calls["nvmlGpmSampleFree"] == bench.nvml.calls["nvmlGpmSampleAlloc"] == 2


ENTITY = Entity(Gpu(0, "GPU-1", "00000000:01:00.0", 0, "A GPU"))
SHARE = Tracked(Tracker.EVENTS, (), (Field("SHARE", same), Field("SHARE_AGAIN", same)))
OTHER = Tracked(Tracker.EVENTS, (1,), (Field("OTHER", same),))


class Shares(DeviceTracker):
    """A tracker whose answers a test writes."""

    def __init__(self, *answers: Observation) -> None:
        self.answers = answers
        self.asked: list[tuple[Tracked, ...]] = []

    def collect(self, readings: tuple[Tracked, ...], _values: FieldValues) -> Iterator[Observation]:
        self.asked.append(readings)
        return (answer for answer in self.answers if answer.reading in readings)

    def inherit(self, former: DeviceTracker) -> None:
        """Remember nothing."""

    def interrupt(self) -> None:
        """Compare nothing."""

    def close(self) -> None:
        """Hold nothing."""


def test_a_tracked_reading_is_given_up_when_nothing_supports_it_and_not_when_it_has_no_answer() -> None:
    tracker = Shares(Observation(SHARE, ENTITY, Reason.NOT_SUPPORTED))
    source = TrackerSource(tracker, (SHARE, OTHER), lambda: ([], []))
    for _ in range(3):
        missing = source.read({}, 1.0).missing
        assert [(m.field, m.reason) for m in missing] == [
            ("SHARE", Reason.NOT_SUPPORTED),
            ("SHARE_AGAIN", Reason.NOT_SUPPORTED),
        ]
    assert tracker.asked == [(SHARE, OTHER), (OTHER,), (OTHER,)]

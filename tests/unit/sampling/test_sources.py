"""What becomes of each answer of NVML's: a sample, or the reason why there is none."""

import ctypes
from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.convert import same
from exporter.catalogue.reading import LINKS, SLOW, Call, Field, FieldValue, Scope, Tracked, Tracker
from exporter.model import Entity, Gpu, Reason
from exporter.sampling.sources import TrackerSource
from exporter.sampling.trackers.tracker import DeviceTracker, FieldValues, Observation
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.bench import POWER, READINGS, TEMPERATURE, Bench


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


def test_a_value_that_is_not_a_number_is_missing() -> None:
    bench = Bench((Call(TEMPERATURE, (Field("FAST", same),), (0,)), *READINGS[1:]))
    bench.nvml.replaced[TEMPERATURE] = lambda *_: float("nan")
    assert bench.reasons() == {"FAST": Reason.NOT_A_NUMBER}


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

"""GPUs that answer nothing any more, and MIG instances that are not what they were."""

import pynvml
import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.convert import same
from exporter.catalogue.reading import LAYOUT, SLOW, Call, Field
from exporter.model import Entity, Gpu, Missing, Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.bench import POWER, READINGS, TEMPERATURE, Bench


def test_a_gpu_of_which_nothing_can_be_read_is_lost() -> None:
    bench = Bench(READINGS[:2])
    bench.nvml.replaced |= {TEMPERATURE: int, POWER: int}
    assert bench.sampler.collect().gone is Reason.UNREADABLE


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


def test_the_health_of_a_lost_gpu_names_the_xid_that_took_it_away_though_another_one_followed() -> None:
    faults = "[{kind: xid, at_s: 5, code: 79}, {kind: xid, at_s: 5.1, code: 154}, {kind: lost, at_s: 5.1}]"
    bench = Bench(CATALOGUE, f"{{profile: h100-sxm, faults: {faults}}}")
    bench.read()
    bench.clock.advance(5)
    samples = bench.sampler.collect().samples
    verdicts = [sample.labels for sample in samples if sample.field == "DCGM_EXP_GPU_HEALTH_STATUS"]
    assert verdicts == [(("health_watch", "ALL"), ("health_error_code", "DCGM_FR_FALLEN_OFF_BUS"))]

"""Every profile against the whole catalogue: what it lists as not supported is missing, everything else is answered."""

from fnmatch import fnmatchcase

import pytest

from exporter.catalogue import ANSWERED, CATALOGUE
from exporter.mock import Scenario
from exporter.mock.machine.loads import constant_load
from exporter.mock.machine.profile import Profile
from exporter.mock.machine.scenario import ScenarioGpu
from exporter.mock.scenario.profile_file import load_profile, profile_names
from exporter.model import Missing, Reason, Sample
from exporter.nvml.calls import Calls
from exporter.nvml.entities import find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import DeviceKind, DeviceSelection
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import started

MODELS = {"a100-sxm", "b200", "gb200", "h100-sxm", "h200-sxm", "l40s", "rtx-4090", "t4"}

HEALTH = "DCGM_EXP_GPU_HEALTH_STATUS"
AFTER_AN_XID = "DCGM_EXP_XID_ERRORS_TOTAL"


def test_the_models_that_people_have_are_there() -> None:
    assert set(profile_names()) == MODELS


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_profile_answers_every_field_but_those_that_it_lists_with_a_source(name: str) -> None:
    profile = load_profile(name)
    samples, missing = collected(profile, percent=50)
    unlisted = {field for field in ANSWERED - {AFTER_AN_XID} if not is_listed(profile, field)}
    assert {sample.field for sample in samples} & ANSWERED == unlisted
    reasons = {one.reason for one in missing if one.field not in unlisted}
    assert reasons <= {Reason.NOT_SUPPORTED, Reason.NO_SAMPLE_YET}
    useless = [pattern for pattern in profile.not_supported if not any(fnmatchcase(f, pattern) for f in ANSWERED)]
    assert useless == []


@pytest.mark.parametrize(("name", "because"), [("t4", {"GPM needs Hopper or newer"}), ("h200-sxm", {""})])
def test_a_gpu_before_hopper_lacks_profiling_for_a_reason_that_people_understand(name: str, because: set[str]) -> None:
    _, missing = collected(load_profile(name), percent=50)
    assert {one.because for one in missing if one.field.startswith("DCGM_FI_PROF_")} == because


@pytest.mark.parametrize("name", sorted(MODELS))
def test_values_of_a_profile_move_with_the_load(name: str) -> None:
    idle, busy = (
        {sample.field: sample.value for sample in collected(load_profile(name), percent)[0]} for percent in (0, 100)
    )
    grown = {field for field, value in busy.items() if isinstance(value, int | float) and value > float(idle[field])}
    assert grown >= {
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "DCGM_FI_DEV_SM_CLOCK",
        "DCGM_FI_DEV_GPU_TEMP_CELSIUS",
        "DCGM_FI_DEV_BOARD_POWER_WATTS",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_POWER_VIOLATION",
    }
    may_grow = {
        "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL",
        "DCGM_FI_DEV_NVLINK_TX_BYTES_TOTAL",
        "DCGM_FI_PROF_SM_UTIL_RATIO",
        "DCGM_FI_PROF_NVLINK_TX_BYTES",
        "DCGM_FI_DEV_FAN_SPEED",
    }
    assert grown >= may_grow & busy.keys()
    assert 0 < busy["DCGM_FI_DEV_BOARD_POWER_WATTS"] <= busy["DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS"]  # type: ignore[operator]
    assert busy["DCGM_FI_DEV_SM_CLOCK"] <= busy["DCGM_FI_DEV_MAX_SM_CLOCK"]  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_work_alone_makes_no_gpu_unhealthy(name: str) -> None:
    samples, _ = collected(load_profile(name), percent=100, pauses_s=(30.0,) * 7)
    found = {dict(one.labels)["health_watch"]: one.value for one in samples if one.field == HEALTH}
    assert found.keys() >= {"DRIVER", "ALL", *(("NVLINK",) if load_profile(name).nvlink else ())}
    assert {watch: value for watch, value in found.items() if value and watch not in {"POWER", "THERMAL"}} == {}


def is_listed(profile: Profile, field: str) -> bool:
    return any(fnmatchcase(field, pattern) for pattern in profile.not_supported)


def collected(
    profile: Profile, percent: float, pauses_s: tuple[float, ...] = (0.85, 60, 1)
) -> tuple[list[Sample], list[Missing]]:
    """Return what one of two equal GPUs says after a minute, or after the last pause, and what it does not."""
    gpus = tuple(
        ScenarioGpu(profile, minor, constant_load(percent), has_nvlink=profile.nvlink is not None) for minor in (0, 1)
    )
    clock = FakeClock()
    nvml = started(Scenario(0, profile.driver, gpus), clock)
    layout = find_layout(Calls(nvml), 0)
    assert not isinstance(layout, Reason)
    (device,) = select({0: layout}, (DeviceSelection(DeviceKind.FLEX),)).values()
    sampler = Sampler(device, Calls(nvml), Pacing(clock, pauses_s[-1]), lambda _: None)
    sampler.follow(plan(ANSWERED, CATALOGUE))
    for pause in (0, 0.15, *pauses_s):
        clock.advance(pause)
        snapshot = sampler.collect()
    return list(snapshot.samples), list(snapshot.missing)

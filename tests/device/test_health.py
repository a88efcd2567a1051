"""Health and NVLink paths of real GPUs: sound ones pass, a power limit is said while it acts, and pairs are NVML's."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from tests.device.conftest import command
from tests.device.pages import fetch
from tests.golden.series import Series, read_series
from tests.waiting import until

ADDRESS = "127.0.0.1:9411"
COUNTERS = """\
DCGM_EXP_GPU_HEALTH_STATUS, gauge, Health.
DCGM_EXP_P2P_STATUS, gauge, Paths.
DCGM_FI_DEV_POWER_VIOLATION, counter, Nanoseconds.
"""
EVERYWHERE = {"PCIE", "MEM", "INFOROM", "THERMAL", "POWER", "DRIVER", "ALL"}
"""The watches of which a data centre GPU from Hopper on tells whether it has NVLink or not."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = Path(tmp_path_factory.mktemp("counters"), "health.csv")
    file.write_text(COUNTERS)
    with subprocess.Popen(command(ADDRESS, "-f", str(file))) as process:
        try:
            until(lambda: bool(health()))
            yield
        finally:
            process.terminate()


def series(name: str) -> list[Series]:
    try:
        return [one for one in read_series(fetch(ADDRESS)) if one.name == name]
    except OSError:
        return []  # it does not listen yet


def health(gpu: str = "0") -> dict[str, tuple[int, str]]:
    found = [one for one in series("DCGM_EXP_GPU_HEALTH_STATUS") if one.labels["gpu"] == gpu]
    return {one.labels["health_watch"]: (int(one.value), one.labels["health_error_code"]) for one in found}


@pytest.mark.usefixtures("page")
def test_each_watch_of_a_sound_gpu_is_seen_and_passes() -> None:
    until(lambda: health().keys() >= EVERYWHERE)
    found = health()
    print(found)
    assert {watch: value for watch, (value, _) in found.items() if watch != "POWER" and value} == {}


@pytest.mark.usefixtures("page", "matrix_product")
def test_the_power_watch_warns_just_when_the_power_limit_has_held_clocks_down_within_a_minute() -> None:
    before = [float(one.value) for one in series("DCGM_FI_DEV_POWER_VIOLATION")]
    until(lambda: "POWER" in health())
    time.sleep(15)
    after = [float(one.value) for one in series("DCGM_FI_DEV_POWER_VIOLATION")]
    value, code = health()["POWER"]
    print("power violation", before, after, value, code)
    assert (value, code) in {(0, "DCGM_FR_OK"), (10, "DCGM_FR_CLOCK_THROTTLE_POWER")}
    if after[0] > before[0]:
        assert value == 10


@pytest.mark.usefixtures("page")
def test_each_pair_of_gpus_has_nvmls_status_in_both_directions() -> None:
    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        expected = {
            (str(one), str(other)): pynvml.nvmlDeviceGetP2PStatus(a, b, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
            for one, a in enumerate(handles)
            for other, b in enumerate(handles)
            if one != other
        }
    finally:
        pynvml.nvmlShutdown()
    until(lambda: len(series("DCGM_EXP_P2P_STATUS")) == len(expected))
    found = {(one.labels["gpu"], one.labels["peer_gpu"]): int(one.value) for one in series("DCGM_EXP_P2P_STATUS")}
    print(found)
    assert found == expected

"""The program on libraries of the driver that are old, or lie; each is a small libnvidia-ml.so.1 of our own."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.series import Series, read_series
from tests.integration.driver_library import build
from tests.integration.program import Program, Start

Library = Callable[..., str]
FRAMEBUFFER = "\n".join(f"DCGM_FI_DEV_FB_{name}, gauge, Memory." for name in ("TOTAL", "FREE", "USED", "RESERVED"))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Return what builds each library once and gives its folder."""
    folder = tmp_path_factory.mktemp("libraries")

    def built(*defines: str, in_front: str = "") -> str:
        place = folder / "-".join((*defines, in_front or "nvml.c"))
        if not place.exists():
            build(place, *defines, in_front=in_front)
        return str(place)

    return built


def series(program: Program, name: str) -> dict[str, Series]:
    """Return the series of one name by their GPUs."""
    found = read_series(program.get("/metrics")[1])
    return {one.labels["gpu"]: one for one in found if one.name == name}


def errors(program: Program, reason: str) -> set[str]:
    """Return the names of the fields that have been missing for a reason."""
    found = read_series(program.get("/metrics")[1])
    own = (one for one in found if one.name == "gpu_exporter_reading_errors_total")
    return {one.labels["reading"] for one in own if one.labels["reason"] == reason}


def ends_without_a_claim(program: Program) -> None:
    assert "not return" not in program.log()
    program.must_end()


def test_a_library_that_tells_the_truth_is_believed(start: Start, library: Library) -> None:
    program = start(LD_LIBRARY_PATH=library())
    program.until(lambda: "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL" in program.names())
    for name, value in (("GPU_UTIL", "30"), ("FB_USED", "300"), ("GPU_TEMP", "41"), ("XID_ERRORS", "0")):
        assert {one.value for one in series(program, f"DCGM_FI_DEV_{name}").values()} == {value}
    assert 'source="nvml"' in program.get("/metrics")[1]
    assert errors(program, "out_of_range") == set()
    assert not re.search(" (WARNING|ERROR) ", program.log())
    ends_without_a_claim(program)


@pytest.mark.parametrize(
    ("in_front", "label", "texts"),
    [
        ("badname.c", "modelName", ["NVIDIA A100-SXM4-80GB", "\ufffd" * 8, "NVIDIA A100-SXM4-80GB"]),
        ("driverversion.c", "DCGM_FI_DRIVER_VERSION", ["\ufffd" * 6] * 3),
        ("badtexts.c", "UUID", ["GPU-\ufffd(0", "GPU-\ufffd(1", "GPU-\ufffd(2"]),
        ("badtexts.c", "pci_bus_id", ["\ufffd" * 32] * 3),
    ],
)
def test_text_that_is_no_utf_8_costs_its_bad_bytes_alone(
    start: Start, library: Library, in_front: str, label: str, texts: list[str]
) -> None:
    program = start(LD_LIBRARY_PATH=library(in_front=in_front))
    program.until(lambda: len(series(program, "DCGM_FI_DEV_GPU_UTIL")) == 3)
    assert [one.labels[label] for _, one in sorted(series(program, "DCGM_FI_DEV_GPU_UTIL").items())] == texts
    assert {one.value for one in series(program, "DCGM_FI_DEV_FB_USED").values()} == {"300"}
    assert not re.search(" (WARNING|ERROR) ", program.log())
    ends_without_a_claim(program)


def test_a_utilization_that_is_no_percentage_has_no_series_and_a_reason(start: Start, library: Library) -> None:
    """GPU 1 always answers garbage, GPU 2 each fifth time."""
    program = start("-c", "100", LD_LIBRARY_PATH=library(in_front="garbage-util.c"))
    program.until(lambda: len(series(program, "DCGM_FI_DEV_FB_USED")) == 3)
    for _ in range(20):
        utilization = {gpu: one.value for gpu, one in series(program, "DCGM_FI_DEV_GPU_UTIL").items()}
        assert "1" not in utilization
        assert set(utilization.values()) == {"40"}
        assert "1" not in series(program, "DCGM_FI_DEV_MEM_COPY_UTIL")
    assert errors(program, "out_of_range") == {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL"}
    both = "DCGM_FI_DEV_GPU_UTIL, DCGM_FI_DEV_MEM_COPY_UTIL"
    program.until(lambda: program.log().count(f"GPU 1 has no {both}: out_of_range") == 1)
    program.until(lambda: program.log().count("GPU 2 has no DCGM_FI_DEV_GPU_UTIL: out_of_range") == 1)
    ends_without_a_claim(program)


def test_a_library_that_answers_all_ones_has_no_value(start: Start, library: Library) -> None:
    program = start(LD_LIBRARY_PATH=library("ALL_ONES"))
    program.until(lambda: len(errors(program, "out_of_range")) >= 18)
    program.until(lambda: "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL" in errors(program, "out_of_range"))
    assert program.names() == {"DCGM_FI_DEV_XID_ERRORS"}
    ends_without_a_claim(program)


def test_a_library_as_old_as_r470_gives_the_framebuffer_of_version_1(
    start: Start, library: Library, tmp_path: Path
) -> None:
    counters = tmp_path / "counters.csv"
    counters.write_text(FRAMEBUFFER)
    program = start("-f", str(counters), "--busy-seconds=none", LD_LIBRARY_PATH=library("R470"))
    program.until(lambda: len(series(program, "DCGM_FI_DEV_FB_USED")) == 3)
    values = {name: series(program, f"DCGM_FI_DEV_FB_{name}")["2"].value for name in ("TOTAL", "FREE", "USED")}
    assert values == {"TOTAL": "81920", "FREE": "81000", "USED": "920"}
    assert program.names() == {f"DCGM_FI_DEV_FB_{name}" for name in values}
    assert errors(program, "not_supported") == {"DCGM_FI_DEV_FB_RESERVED"}
    ends_without_a_claim(program)


def test_a_library_as_old_as_r470_gives_every_default_counter_but_those_of_newer_gpus(
    start: Start, library: Library
) -> None:
    program = start("--busy-seconds=none", LD_LIBRARY_PATH=library("R470"))
    program.until(lambda: "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL" in program.names())
    newer = {name for name in errors(program, "not_supported") if not name.startswith("DCGM_FI_PROF_")}
    assert newer == {"DCGM_FI_DEV_FB_RESERVED", "DCGM_FI_DEV_VGPU_LICENSE_STATUS"}
    assert len(program.names()) >= 18
    ends_without_a_claim(program)


def test_a_library_that_has_next_to_nothing_gives_what_it_has(start: Start, library: Library) -> None:
    program = start(LD_LIBRARY_PATH=library("BARE"))
    program.until(lambda: len(series(program, "DCGM_FI_DEV_GPU_UTIL")) == 3)
    assert {one.labels["pci_bus_id"] for one in series(program, "DCGM_FI_DEV_GPU_UTIL").values()} == {""}
    assert {"DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_XID_ERRORS"} <= errors(program, "not_supported")
    assert not re.search(" (WARNING|ERROR) ", program.log())
    ends_without_a_claim(program)


def test_a_count_that_can_not_be_is_said_in_one_sentence(start: Start, library: Library) -> None:
    program = start("-k", LD_LIBRARY_PATH=library(in_front="count.c"))
    program.until(lambda: "NVML can't count the GPUs: out_of_range" in program.get("/health")[1])
    assert program.log().count("NVML can't count the GPUs: out_of_range") == 1
    ends_without_a_claim(program)

"""Busy seconds of the program as its users start it: which series its flags turn on, and what they say."""

import re
from pathlib import Path

import pytest

from tests.integration.program import Program, Start
from tests.waiting import until

HALF_BUSY = """
gpus:
  - profile: h100-sxm
    load: {kind: steps, repeat: true, steps: [{for_s: 0.5, percent: 100}, {for_s: 0.5, percent: 0}]}
pods:
  - {namespace: chat, name: llm-0, containers: [{name: vllm, gpus: [0]}]}
"""


@pytest.fixture
def half_busy(tmp_path: Path) -> str:
    file = tmp_path / "half.yaml"
    file.write_text(HALF_BUSY)
    return f"--mock={file}"


def series(program: Program) -> dict[str, float]:
    """Return the values of the pod's counters of seconds by name; nobody's are not asked for."""
    pattern = r'^(gpu_exporter_\w+_seconds_total)\{.*UUID=".*pod="(.*)"\} (\S+)$'
    found = re.findall(pattern, program.get("/metrics")[1], re.MULTILINE)
    return {name: float(value) for name, pod, value in found if pod == "llm-0"}


def short(names: set[str] | dict[str, float]) -> set[str]:
    return {name.removeprefix("gpu_exporter_").removesuffix("_seconds_total") for name in names}


def test_nine_series_a_gpu_are_there_by_default_and_say_how_busy_it_was(start: Start, half_busy: str) -> None:
    program = start(half_busy)
    program.until(lambda: series(program).get("gpu_exporter_observed_seconds_total", 0) >= 5)
    values = series(program)
    active = {"graphics_active", "sm_active", "tensor_active", "dram_active", "profiling_observed"}
    assert short(values) == {"busy", "observed", "memory_busy", "memory_observed", *active}
    quotient = values["gpu_exporter_busy_seconds_total"] / values["gpu_exporter_observed_seconds_total"]
    assert quotient == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("asked", "there"),
    [("none", set()), ("gpu,decoder", {"busy", "observed", "decoder_busy", "decoder_observed"})],
)
def test_a_flag_chooses_the_series(start: Start, half_busy: str, asked: str, there: set[str]) -> None:
    program = start(half_busy, f"--busy-seconds={asked}")
    program.until(lambda: program.get("/ready")[0] == 200)
    program.until(lambda: short(series(program)) == there)


def test_gpu_utilization_is_a_mean_where_that_is_asked_for(start: Start, half_busy: str) -> None:
    program = start(half_busy, "--mean-gpu-util", "--busy-seconds=none", "-c=2000")
    seen: dict[str, int] = {}  # by when it was collected

    def has_seen_some() -> bool:
        page = program.get("/metrics")[1]
        moments = re.findall(r"^gpu_exporter_snapshot_timestamp_seconds\{.*\} (\S+)$", page, re.MULTILINE)
        values = map(int, re.findall(r"^DCGM_FI_DEV_GPU_UTIL\{.*\} (\S+)$", page, re.MULTILINE))
        seen.update(zip(moments, values, strict=False))
        return len(seen) >= 6

    until(has_seen_some)
    means = list(seen.values())[3:]  # the first collections lie closer together than the others
    assert all(25 <= value <= 75 for value in means), seen

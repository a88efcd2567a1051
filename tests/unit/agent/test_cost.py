from pathlib import Path

import pytest

from exporter.agent.cost import cost_report
from exporter.cli.flags import Serve, parse
from exporter.errors import NvmlError
from exporter.settings import Settings


def settings(tmp_path: Path, rows: str, *flags: str) -> Settings:
    file = tmp_path / "counters.csv"
    file.write_text(rows)
    asked = parse(("--mock", "-f", str(file), *flags), {}, "host")
    assert isinstance(asked, Serve)
    return asked.settings


def test_each_thing_that_nvml_is_asked_has_a_line_with_the_names_of_the_file(tmp_path: Path) -> None:
    rows = "DCGM_FI_DEV_SM_CLOCK, gauge, a\nDCGM_FI_DEV_MEM_CLOCK, gauge, b\nDCGM_FI_DEV_MEMORY_TEMP, gauge, c\n"
    first, _, *lines, total = cost_report(settings(tmp_path, rows)).splitlines()
    assert first.startswith("NVIDIA H100 80GB HBM3, GPU 0")
    found = {line.split()[0]: line.split()[1:] for line in lines}
    clocks = found["nvmlDeviceGetClockInfo"]
    assert clocks[:3] == ["1", "s", "2"]
    assert clocks[-2:] == ["DCGM_FI_DEV_SM_CLOCK,", "DCGM_FI_DEV_MEM_CLOCK"]
    assert found["NVML_FI_DEV_MEMORY_TEMP"][-1] == "DCGM_FI_DEV_MEMORY_TEMP"
    assert float(total.split()[-1]) == pytest.approx(sum(float(cells[4]) for cells in found.values()), abs=0.001)


def test_what_is_read_seldom_costs_by_its_own_period_and_what_is_read_once_nothing(tmp_path: Path) -> None:
    rows = "DCGM_FI_DEV_MAX_SM_CLOCK, gauge, a\nDCGM_FI_DEV_VBIOS_VERSION, label, b\n"
    lines = cost_report(settings(tmp_path, rows, "-c", "5000")).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("nvmlDeviceGetMaxClockInfo")] == ["60"]
    assert [line.split()[1] for line in lines if line.startswith("nvmlDeviceGetVbiosVersion")] == ["once"]


def test_what_the_gpu_does_not_have_is_named_and_costs_nothing(tmp_path: Path) -> None:
    rows = "DCGM_FI_DEV_FAN_SPEED, gauge, a\nDCGM_FI_DEV_GPU_TEMP, gauge, b\n"
    lines = cost_report(settings(tmp_path, rows)).splitlines()
    assert lines[-1] == "not supported by this GPU: DCGM_FI_DEV_FAN_SPEED"
    assert not [line for line in lines if line.startswith("nvmlDeviceGetFanSpeed")]


def test_what_a_value_is_made_of_costs_for_it_and_as_seldom_as_it_is_read(tmp_path: Path) -> None:
    lines = cost_report(settings(tmp_path, "DCGM_EXP_GPU_HEALTH_STATUS, gauge, a\n")).splitlines()
    found = {line.split()[0]: line.split() for line in lines}
    for name, each in (
        ("nvmlDeviceGetPcieReplayCounter", "15"),
        ("nvmlDeviceValidateInforom", "3600"),
        ("NVML_FI_DEV_PERF_POLICY_POWER", "15"),
        ("nvmlEventSetWait_v2", "1"),
    ):
        assert (found[name][1], found[name][-1]) == (each, "DCGM_EXP_GPU_HEALTH_STATUS")
    assert not [line for line in lines if line.startswith(("nvmlDeviceGetNvLink", "not supported by this GPU"))]


def test_without_a_gpu_there_is_a_reason(tmp_path: Path) -> None:
    scenario = tmp_path / "lost.yaml"
    scenario.write_text("gpus: [{profile: t4, faults: [{kind: lost, at_s: 0}]}]")
    with pytest.raises(NvmlError, match="no selected GPU answers"):
        cost_report(settings(tmp_path, "DCGM_FI_DEV_GPU_TEMP, gauge, b\n", f"--mock={scenario}"))

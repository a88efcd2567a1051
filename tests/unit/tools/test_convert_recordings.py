import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from exporter.mock.recordings.recording_file import read_recording

ROOT = Path(__file__).parents[3]
FIELDS = "MEMORY_TEMP POWER_AVERAGE POWER_INSTANT REMAPPED_COR REMAPPED_UNC REMAPPED_PENDING REMAPPED_FAILURE"


def call(value: Any) -> dict[str, Any]:
    return {"value": value, "error": None}


def snapshot(clock_mhz: int) -> dict[str, Any]:
    getters = {
        "UtilizationRates": {"gpu": 99, "memory": 33},
        "EncoderUtilization": [1, 100000],
        "DecoderUtilization": [2, 100000],
        "ClockInfo(NVML_CLOCK_GRAPHICS)": clock_mhz,
        "ClockInfo(NVML_CLOCK_SM)": clock_mhz,
        "ClockInfo(NVML_CLOCK_MEM)": 2619,
        "ClockInfo(NVML_CLOCK_VIDEO)": 1485,
        "Temperature(NVML_TEMPERATURE_GPU)": 67,
        "MemoryInfo_v2": {"used": 5},
        "TotalEnergyConsumption": 7,
        "PcieReplayCounter": 0,
        "CurrentClocksEventReasons": 4,
    }
    fields = [*FIELDS.split(), "PCIE_COUNT_TX_BYTES", "PCIE_COUNT_RX_BYTES"]
    metrics = {
        "NVML_GPM_METRIC_SM_UTIL": {"ret": 0, "value": 95.5},
        "NVML_GPM_METRIC_DRAM_BW_UTIL": {"ret": 0, "value": math.nan},
        "NVML_GPM_METRIC_NVLINK_L20_RX_PER_SEC": {"ret": 2, "value": None},
    }
    return {
        "calls": {f"nvmlDeviceGet{name}": call(value) for name, value in getters.items()},
        "fields": {f"NVML_FI_DEV_{name}": {"value": number} for number, name in enumerate(fields)},
        "gpm": {"metrics": metrics},
    }


def trace_frame(t_s: float) -> dict[str, Any]:
    return {
        "t": t_s,
        "util": {"gpu": 48, "memory": 19},
        "mem": {"used": 5},
        "sm": 1845,
        "memclk": 2619,
        "temp": 63,
        "energy_mJ": 45305842,
        "reasons": 4,
        "enc": [0, 100000],
        "dec": [0, 100000],
        "fi": [[82, 0, 57], [186, 0, 845542], [185, 0, 357664]],
        "gpm": {"SM_OCCUPANCY": 6.5, "DRAM_BW_UTIL": math.nan},
    }


def test_raw_measurements_become_recordings_without_the_values_that_were_none(tmp_path: Path) -> None:
    raw = {"driver": "580.159.04", "idle": snapshot(870), "busy": snapshot(1455)}
    (tmp_path / "h100-nvml.json").write_text(json.dumps(raw))
    (tmp_path / "h100-trace.json").write_text(json.dumps([trace_frame(0.0), trace_frame(0.1)]))
    tool = ROOT / "tools" / "convert_recordings.py"
    subprocess.run([sys.executable, tool, tmp_path, tmp_path], check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    idle, busy = (read_recording(tmp_path / f"h100-{state}.jsonl") for state in ("idle", "busy"))
    trace = read_recording(tmp_path / "h100-trace.jsonl.gz")
    assert (idle.mean("sm_clock_mhz"), busy.mean("sm_clock_mhz")) == (870, 1455)
    assert idle.driver == "580.159.04"
    assert busy.mean("power_instant_mw") == 2
    assert {name for name in busy.names() if name.startswith("gpm.")} == {"gpm.SM_UTIL"}
    assert [frame.t_s for frame in trace.frames] == [0.0, 0.1]
    assert trace.frames[1].values == {
        "gpu_utilization_percent": 48,
        "memory_utilization_percent": 19,
        "encoder_utilization_percent": 0,
        "decoder_utilization_percent": 0,
        "sm_clock_mhz": 1845,
        "memory_clock_mhz": 2619,
        "gpu_temperature_c": 63,
        "memory_temperature_c": 57,
        "memory_used_bytes": 5,
        "power_average_mw": 357664,
        "power_instant_mw": 845542,
        "energy_mj": 45305842,
        "clock_event_reasons": 4,
        "gpm.SM_OCCUPANCY": 6.5,
    }

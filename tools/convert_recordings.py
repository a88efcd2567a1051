#!/usr/bin/env python3
"""Make the mock's recordings from the raw material of a measurement: python tools/convert_recordings.py RAW OUT.

RAW is a folder with h100-nvml.json (each NVML getter's value, idle and busy) and h100-trace.json (61 s at 10 Hz).
OUT receives h100-idle.jsonl, h100-busy.jsonl and h100-trace.jsonl.gz.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exporter.mock.recordings.recording import Frame, Recording
from exporter.mock.recordings.recording_file import write_recording

MODEL = "NVIDIA H100 80GB HBM3"
RECORDED_ON = "2026-11-23"
TENSOR_LOAD = "bf16 matrix products"

FIELD_VALUES = {
    "memory_temperature_c": "NVML_FI_DEV_MEMORY_TEMP",
    "power_average_mw": "NVML_FI_DEV_POWER_AVERAGE",
    "power_instant_mw": "NVML_FI_DEV_POWER_INSTANT",
    "remapped_rows_correctable": "NVML_FI_DEV_REMAPPED_COR",
    "remapped_rows_uncorrectable": "NVML_FI_DEV_REMAPPED_UNC",
    "remapped_rows_pending": "NVML_FI_DEV_REMAPPED_PENDING",
    "remapped_rows_failure": "NVML_FI_DEV_REMAPPED_FAILURE",
    "pcie_transmitted_bytes": "NVML_FI_DEV_PCIE_COUNT_TX_BYTES",
    "pcie_received_bytes": "NVML_FI_DEV_PCIE_COUNT_RX_BYTES",
}


def snapshot_values(state: dict[str, Any]) -> dict[str, float]:
    """Return the quantities that h100-nvml.json has for one state of the GPU."""
    calls = {name: call["value"] for name, call in state["calls"].items()}
    utilization = calls["nvmlDeviceGetUtilizationRates"]
    values = {
        "gpu_utilization_percent": utilization["gpu"],
        "memory_utilization_percent": utilization["memory"],
        "encoder_utilization_percent": calls["nvmlDeviceGetEncoderUtilization"][0],
        "decoder_utilization_percent": calls["nvmlDeviceGetDecoderUtilization"][0],
        "graphics_clock_mhz": calls["nvmlDeviceGetClockInfo(NVML_CLOCK_GRAPHICS)"],
        "sm_clock_mhz": calls["nvmlDeviceGetClockInfo(NVML_CLOCK_SM)"],
        "memory_clock_mhz": calls["nvmlDeviceGetClockInfo(NVML_CLOCK_MEM)"],
        "video_clock_mhz": calls["nvmlDeviceGetClockInfo(NVML_CLOCK_VIDEO)"],
        "gpu_temperature_c": calls["nvmlDeviceGetTemperature(NVML_TEMPERATURE_GPU)"],
        "memory_used_bytes": calls["nvmlDeviceGetMemoryInfo_v2"]["used"],
        "energy_mj": calls["nvmlDeviceGetTotalEnergyConsumption"],
        "pcie_replay_count": calls["nvmlDeviceGetPcieReplayCounter"],
        "clock_event_reasons": calls["nvmlDeviceGetCurrentClocksEventReasons"],
    }
    values |= {name: state["fields"][field]["value"] for name, field in FIELD_VALUES.items()}
    prefix = "NVML_GPM_METRIC_"
    metrics = state["gpm"]["metrics"].items()
    values |= {f"gpm.{name.removeprefix(prefix)}": m["value"] for name, m in metrics if m["ret"] == 0}
    return known(values)


def trace_values(frame: dict[str, Any]) -> dict[str, float]:
    """Return the quantities of one frame of h100-trace.json."""
    by_id = {field_id: value for field_id, status, value in frame["fi"] if status == 0}
    values = {
        "gpu_utilization_percent": frame["util"]["gpu"],
        "memory_utilization_percent": frame["util"]["memory"],
        "encoder_utilization_percent": frame["enc"][0],
        "decoder_utilization_percent": frame["dec"][0],
        "sm_clock_mhz": frame["sm"],
        "memory_clock_mhz": frame["memclk"],
        "gpu_temperature_c": frame["temp"],
        "memory_temperature_c": by_id[82],
        "memory_used_bytes": frame["mem"]["used"],
        "power_average_mw": by_id[185],
        "power_instant_mw": by_id[186],
        "energy_mj": frame["energy_mJ"],
        "clock_event_reasons": frame["reasons"],
    }
    return known(values | {f"gpm.{name}": value for name, value in frame["gpm"].items()})


def known(values: dict[str, float]) -> dict[str, float]:
    """Return the quantities that have a value: NaN means that there was none."""
    return {name: value for name, value in values.items() if not math.isnan(value)}


def recordings(raw: Path) -> Iterator[tuple[str, Recording]]:
    """Yield each recording with the name of its file."""
    snapshots = json.loads((raw / "h100-nvml.json").read_text())
    driver = snapshots["driver"]
    for state, about in (("idle", "Idle."), ("busy", f"Saturated by {TENSOR_LOAD}.")):
        frames = (Frame(0.0, snapshot_values(snapshots[state])),)
        yield f"h100-{state}.jsonl", Recording(MODEL, driver, RECORDED_ON, about, frames)
    trace = json.loads((raw / "h100-trace.json").read_text())
    frames = tuple(Frame(frame["t"], trace_values(frame)) for frame in trace)
    about = f"Idle, {TENSOR_LOAD}, idle, copies in device memory, idle, half busy, idle; 10 frames a second."
    yield "h100-trace.jsonl.gz", Recording(MODEL, driver, RECORDED_ON, about, frames)


def main() -> None:
    """Convert all recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raw", type=Path, metavar="RAW")
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    for name, recording in recordings(arguments.raw):
        write_recording(arguments.out / name, recording)


if __name__ == "__main__":
    main()

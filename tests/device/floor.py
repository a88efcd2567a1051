"""What the default counters cost at least: the same NVML calls, once a second, by nothing but pynvml.

python tests/device/floor.py [seconds]; prints the CPU of a core that the calls take, for a comparison in one run
with tests/benchmarks/figures.py. tests/device/upkeep.py and tests/device/parallel_proof.py ask here, too.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pynvml

ALL_LINKS = 0xFFFFFFFF


def steps_of(nvml: Any, index: int) -> dict[str, Callable[[], Any]]:
    """Return what is asked of one GPU.

    Args:
        nvml: pynvml, or what stands there, started.
        index: The GPU's.
    """
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    events = nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    metrics = (
        pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,
        pynvml.NVML_GPM_METRIC_SM_UTIL,
        pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
        pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
        pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
        pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC,
    )
    request.numMetrics = len(metrics)
    for i, metric in enumerate(metrics):
        request.metrics[i].metricId = metric
    older = nvml.nvmlGpmSampleGet(handle, nvml.nvmlGpmSampleAlloc())
    newer = nvml.nvmlGpmSampleAlloc()
    values = [
        pynvml.NVML_FI_DEV_MEMORY_TEMP,
        pynvml.NVML_FI_DEV_REMAPPED_COR,
        pynvml.NVML_FI_DEV_REMAPPED_UNC,
        pynvml.NVML_FI_DEV_REMAPPED_FAILURE,
    ]

    links = [
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
        (pynvml.NVML_FI_DEV_MEMORY_TEMP, 0),  # the driver reads on behind links (exporter/nvml/calls.py)
    ]

    def gpm() -> None:
        nonlocal older, newer
        nvml.nvmlGpmSampleGet(handle, newer)
        request.sample1, request.sample2 = older, newer
        nvml.nvmlGpmMetricsGet(request)
        older, newer = newer, older

    newest_us = {pynvml.NVML_GPU_UTILIZATION_SAMPLES: 0, pynvml.NVML_MEMORY_UTILIZATION_SAMPLES: 0}

    def ring(kind: int) -> None:
        _, samples = nvml.nvmlDeviceGetSamples(handle, kind, newest_us[kind])
        newest_us[kind] = samples[-1].timeStamp

    def xids() -> None:
        with contextlib.suppress(pynvml.NVMLError_Timeout):
            nvml.nvmlEventSetWait_v2(events, 0)

    return {
        "clocks": lambda: [
            nvml.nvmlDeviceGetClockInfo(handle, c) for c in (pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM)
        ],
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
        "power": lambda: nvml.nvmlDeviceGetPowerUsage(handle),
        "pcie replay": lambda: nvml.nvmlDeviceGetPcieReplayCounter(handle),
        "utilization": lambda: nvml.nvmlDeviceGetUtilizationRates(handle),
        "encoder": lambda: nvml.nvmlDeviceGetEncoderUtilization(handle),
        "decoder": lambda: nvml.nvmlDeviceGetDecoderUtilization(handle),
        "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2),
        "field values": lambda: nvml.nvmlDeviceGetFieldValues(handle, values),
        "nvlink": lambda: nvml.nvmlDeviceGetFieldValues(handle, links),
        "xids": xids,
        "energy": lambda: nvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION]),
        "gpm": gpm,
        "ring": lambda: ring(pynvml.NVML_GPU_UTILIZATION_SAMPLES),
        "memory ring": lambda: ring(pynvml.NVML_MEMORY_UTILIZATION_SAMPLES),
    }


def measure(seconds: float) -> dict[str, float]:
    """Return the seconds of CPU that each step takes, made once a second."""
    pynvml.nvmlInit()
    steps = steps_of(pynvml, 0)
    spent = dict.fromkeys(steps, 0.0)
    rounds = 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(1)
        rounds += 1
        for name, step in steps.items():
            before = time.thread_time()
            step()
            spent[name] += time.thread_time() - before
    return {name: cpu_s / rounds for name, cpu_s in spent.items()}


def main() -> None:
    found = measure(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
    for name, cpu_s in found.items():
        print(f"floor {name}: {100 * cpu_s:.4f} % of a core")
    print(f"floor in all: {100 * sum(found.values()):.3f} % of a core")


if __name__ == "__main__":
    main()

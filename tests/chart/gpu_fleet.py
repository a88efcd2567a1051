"""GPUs and the pods that hold them, as the exporter's series, and what each pod's numbers must be.

Where seconds are counted, each GPU is busy for half as long as its value of the moment says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Gpu(NamedTuple):
    """A GPU or MIG instance, and the pods (with their containers) that hold it."""

    utilization: float
    used_mib: float
    free_mib: float
    holders: Sequence[tuple[str, str]]
    uuid: str
    instance: str = ""


FLEET = (
    Gpu(70, 1000, 3000, [("trainer", "main")], "GPU-a"),
    Gpu(10, 500, 3500, [("trainer", "main")], "GPU-b"),
    Gpu(60, 800, 800, [("left", "main"), ("right", "main")], "GPU-c"),
    Gpu(80, 300, 700, [("twin", "main"), ("twin", "side")], "GPU-d"),
    Gpu(95, 4000, 0, [], "GPU-idle"),
    Gpu(20, 100, 300, [("parts", "main")], "GPU-m", "1"),
    Gpu(40, 300, 100, [("parts", "main")], "GPU-m", "2"),
)
PODS = ("trainer", "left", "right", "twin", "parts", "nobody")
EXPECTED: Mapping[str, Mapping[str, float]] = {
    "gpu_utilization": {"trainer": 40, "left": 60, "right": 60, "twin": 80, "parts": 30},
    "gpu_utilization_max": {"trainer": 70, "left": 60, "right": 60, "twin": 80, "parts": 40},
    "gpu_framebuffer_used_mib": {"trainer": 1500, "left": 800, "right": 800, "twin": 300, "parts": 400},
    "gpu_framebuffer_used_ratio": {"trainer": 0.1875, "left": 0.5, "right": 0.5, "twin": 0.3, "parts": 0.5},
    "gpu_power_watts": {"trainer": 400, "left": 600, "right": 600, "twin": 800, "parts": 300},
    "gpu_sm_clock_mhz": {"trainer": 1400, "left": 1600, "right": 1600, "twin": 1800, "parts": 1300},
    "gpu_memory_clock_mhz": {"trainer": 2400, "left": 2600, "right": 2600, "twin": 2800, "parts": 2300},
    "gpu_engine_active_ratio": {"trainer": 0.4, "left": 0.6, "right": 0.6, "twin": 0.8, "parts": 0.3},
    "gpu_tensor_active_ratio": {"trainer": 0.4, "left": 0.6, "right": 0.6, "twin": 0.8, "parts": 0.3},
    "gpu_dram_active_ratio": {"trainer": 0.2, "left": 0.3, "right": 0.3, "twin": 0.4, "parts": 0.15},
}

EXPECTED_OF_SECONDS = {
    metric: {pod: value / 2 if "utilization" in metric else value for pod, value in values.items()}
    for metric, values in EXPECTED.items()
}


def readings(gpu: Gpu, generation: int) -> Iterator[tuple[str, float]]:
    """Yield the values of a GPU, under the names and in the units of a generation."""
    values = {
        ("GPU_UTIL", "GPU_UTIL_RATIO"): (gpu.utilization, gpu.utilization / 100),
        ("FB_USED", "FB_USED_BYTES"): (gpu.used_mib, gpu.used_mib * 1048576),
        ("FB_FREE", "FB_FREE_BYTES"): (gpu.free_mib, gpu.free_mib * 1048576),
        ("POWER_USAGE", "BOARD_POWER_WATTS"): (gpu.utilization * 10, gpu.utilization * 10),
        ("SM_CLOCK", "SM_CLOCK_HERTZ"): (gpu.utilization * 10 + 1000, (gpu.utilization * 10 + 1000) * 1e6),
        ("MEM_CLOCK", "MEMORY_CLOCK_HERTZ"): (gpu.utilization * 10 + 2000, (gpu.utilization * 10 + 2000) * 1e6),
    }
    for names, units in values.items():
        yield f"DCGM_FI_DEV_{names[generation]}", units[generation]
    yield ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO")[generation], gpu.utilization / 100
    yield ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO")[generation], gpu.utilization / 100
    yield ("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO")[generation], gpu.utilization / 200


def seconds(gpu: Gpu) -> Iterator[tuple[str, float]]:
    """Yield by how much a GPU's counters of seconds grow between two scrapes; GPM sees little of whole GPUs."""
    if not gpu.instance:
        yield "busy", 15 * gpu.utilization / 200
        yield "observed", 15
    yield "graphics_active", 15 * gpu.utilization / (200 if gpu.instance else 1000)
    yield "profiling_observed", 15


def scraped(
    names: Mapping[str, str], generation: int, *, is_renamed: bool, job: str = "a", counts_seconds: bool = False
) -> dict[str, str]:
    """Return the fleet's series as Prometheus has them: in a style's labels, or renamed for want of honorLabels."""
    series: dict[str, str] = {}
    for gpu in FLEET:
        for pod, container in gpu.holders or [("", "")]:
            own = {"pod": pod, "namespace": "inference" if pod else "", "container": container}
            labels = {names["uuid"]: gpu.uuid, names["hostname"]: "node-1", "GPU_I_ID": gpu.instance, "job": job}
            if is_renamed:
                labels |= {"pod": "exporter-x", "namespace": "monitoring", "container": "exporter"}
                labels |= {f"exported_{label}": value for label, value in own.items()}
            else:
                labels |= {names[label]: value for label, value in own.items()}
            text = ",".join(f'{label}="{value}"' for label, value in labels.items() if value)
            series |= {f"{name}{{{text}}}": f"{value!r}x40" for name, value in readings(gpu, generation)}
            if counts_seconds:
                series |= {
                    f"gpu_exporter_{name}_seconds_total{{{text}}}": f"100+{step!r}x40" for name, step in seconds(gpu)
                }
    return series

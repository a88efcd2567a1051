"""Mock machines for tests: one GPU under a load, or a scenario's text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml

from exporter.mock import MockNvml, Scenario
from exporter.mock.document import parse_document
from exporter.mock.machine.loads import Load
from exporter.mock.machine.scenario import ScenarioGpu
from exporter.mock.scenario.profile_file import load_profile
from exporter.mock.scenario.scenario_file import parse_scenario
from exporter.model import Clock
from tests.unit.fake_clock import FakeClock

DIVIDED = """
gpus:
  - profile: h100-sxm
    mig:
      - {profile: 1g.10gb, load: 20}
      - {profile: 4g.40gb, load: 80}
      - {profile: 2g.20gb, compute: [1, 1], load: 50}
"""


def scenario(text: str, folder: Path | None = None) -> Scenario:
    return parse_scenario(parse_document(text, "lab.yaml"), folder)


def started(described: Scenario, clock: Clock) -> MockNvml:
    nvml = MockNvml(described, clock)
    nvml.nvmlInit()
    return nvml


def one_gpu(profile: str, load: Load, clock: FakeClock) -> tuple[MockNvml, Any]:
    """Return a machine with one GPU that has all NVLinks of its model, and the GPU's handle."""
    model = load_profile(profile)
    described = Scenario(0, "580.159.04", (ScenarioGpu(model, 0, load, has_nvlink=model.nvlink is not None),))
    nvml = started(described, clock)
    return nvml, nvml.nvmlDeviceGetHandleByIndex(0)


def field(nvml: MockNvml, handle: Any, *wanted: int | tuple[int, int]) -> list[int]:
    """Return unsigned field values that must all be there."""
    answers = nvml.nvmlDeviceGetFieldValues(handle, list(wanted))
    assert [answer.nvmlReturn for answer in answers] == [pynvml.NVML_SUCCESS] * len(wanted)
    return [answer.value.ullVal for answer in answers]


def energy_of(nvml: MockNvml, handle: Any) -> int:
    """Return a GPU's energy in millijoules."""
    return field(nvml, handle, pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION)[0]


def refusal(call: Callable[..., Any], *args: Any) -> int | None:
    """Return the code with which NVML refuses a call; None where it answers."""
    try:
        call(*args)
    except pynvml.NVMLError as error:
        code: int = error.value
        return code
    return None


def functions(nvml: MockNvml) -> list[str]:
    """Return the names of all that the mock has of NVML."""
    return [name for name in vars(nvml) if name.startswith("nvml")]


def gpm(nvml: MockNvml, older: Any, newer: Any, *metrics: int) -> list[float]:
    """Return GPM metrics between two samples, which must all be there."""
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.numMetrics = len(metrics)
    request.sample1, request.sample2 = older, newer
    for number, metric in enumerate(metrics):
        request.metrics[number].metricId = metric
    nvml.nvmlGpmMetricsGet(request)
    assert [request.metrics[i].nvmlReturn for i in range(len(metrics))] == [pynvml.NVML_SUCCESS] * len(metrics)
    return [request.metrics[i].value for i in range(len(metrics))]


def gpm_sample(nvml: MockNvml, handle: Any) -> Any:
    return nvml.nvmlGpmSampleGet(handle, nvml.nvmlGpmSampleAlloc())

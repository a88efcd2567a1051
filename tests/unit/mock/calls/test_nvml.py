import inspect

import pynvml
import pytest

from exporter.mock import MockNvml, load_scenario
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import functions, refusal, started


def test_every_function_has_pynvmls_name_and_parameters(clock: FakeClock) -> None:
    nvml = MockNvml(load_scenario("t4"), clock)
    assert len(functions(nvml)) > 30
    for name in functions(nvml):
        ours, theirs = (inspect.signature(getattr(owner, name)) for owner in (nvml, pynvml))
        assert [*ours.parameters] == [*theirs.parameters], name
        assert [p.default for p in ours.parameters.values()] == [p.default for p in theirs.parameters.values()], name


def test_pynvmls_constants_structures_and_errors_are_the_mocks_too(clock: FakeClock) -> None:
    nvml = MockNvml(load_scenario("t4"), clock)
    assert nvml.NVML_CLOCK_SM is pynvml.NVML_CLOCK_SM
    assert nvml.nvmlPciInfo_t is pynvml.nvmlPciInfo_t
    assert nvml.NVMLError_NotSupported is pynvml.NVMLError_NotSupported
    with pytest.raises(AttributeError):
        nvml.nvmlNoSuchThing  # noqa: B018


def test_a_function_that_the_mock_lacks_is_not_found_as_in_an_old_library(clock: FakeClock) -> None:
    nvml = started(load_scenario("t4"), clock)
    gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    assert refusal(nvml.nvmlDeviceGetViolationStatus, gpu, 0) == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.links import peer_statuses, read_registers
from tests.unit.faulty_nvml import failing

DOWN, WAITED, REFUSED = 1, 201, 307
BY_NVLINK = pynvml.NVML_P2P_CAPS_INDEX_NVLINK


def registers(_device: str, request: Any) -> None:
    """Answer for port 3, in two types, and refuse one counter."""
    for counter in request.counters[: request.numCounters]:
        output = counter.outputValue
        output.status = pynvml.NVML_ERROR_NOT_SUPPORTED if counter.counterId == REFUSED else pynvml.NVML_SUCCESS
        output.outputType = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
        output.outputValue.ullVal = 1000 * counter.inputValue.localPort + counter.counterId


def test_registers_of_a_link_are_read_in_one_call_and_ports_count_from_one() -> None:
    calls = Calls(SimpleNamespace(nvmlDeviceReadPRMCounters_v1=registers))
    answers = read_registers(calls, "gpu", 2, [DOWN, WAITED, REFUSED])
    assert answers == [3001, 3201, Reason.NOT_SUPPORTED]
    assert calls.count == 1


def test_a_driver_without_the_call_supports_no_register() -> None:
    calls = Calls(SimpleNamespace(nvmlDeviceReadPRMCounters_v1=failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)))
    assert read_registers(calls, "gpu", 0, [DOWN, WAITED]) == [Reason.NOT_SUPPORTED] * 2


def machine(lost: int | None = None, lost_while_asked: int | None = None) -> Calls:
    """Return four GPUs, of which the second reaches the first and the last by NVLink."""

    def handle(index: int) -> str:
        if index == lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return f"gpu{index}"

    def status(one: str, other: str, capability: int) -> int:
        assert (one, capability) == ("gpu1", BY_NVLINK)
        if other == f"gpu{lost_while_asked}":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return int(pynvml.NVML_P2P_STATUS_OK) if other in {"gpu0", "gpu3"} else 5

    return Calls(
        SimpleNamespace(nvmlDeviceGetCount=lambda: 4, nvmlDeviceGetHandleByIndex=handle, nvmlDeviceGetP2PStatus=status)
    )


@pytest.mark.parametrize(
    ("calls", "statuses"),
    [
        (machine(), {0: 0, 2: 5, 3: 0}),
        (machine(lost=3), {0: 0, 2: 5}),
        (machine(lost_while_asked=0), {2: 5, 3: 0}),
    ],
)
def test_a_gpu_has_a_status_with_each_other_one_but_with_those_that_are_lost(
    calls: Calls, statuses: dict[int, int]
) -> None:
    assert peer_statuses(calls, "gpu1", 1, BY_NVLINK) == statuses


def test_a_count_of_gpus_that_can_not_be_gives_no_status() -> None:
    broken = SimpleNamespace(nvmlDeviceGetCount=lambda: 808_334_905)
    assert peer_statuses(Calls(broken), "gpu1", 1, BY_NVLINK) is Reason.OUT_OF_RANGE


def test_a_driver_that_does_not_say_what_is_reached_gives_its_reason() -> None:
    broken = SimpleNamespace(nvmlDeviceGetCount=failing(pynvml.NVML_ERROR_UNKNOWN))
    assert peer_statuses(Calls(broken), "gpu1", 1, BY_NVLINK) is Reason.UNKNOWN
    mute = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=str,
        nvmlDeviceGetP2PStatus=failing(pynvml.NVML_ERROR_NOT_SUPPORTED),
    )
    assert peer_statuses(Calls(mute), "gpu1", 1, BY_NVLINK) is Reason.NOT_SUPPORTED

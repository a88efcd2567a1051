"""What NVML tells of single NVLinks by other than field values: port registers, and which GPUs are reached."""

from typing import Any

import pynvml

from exporter.catalogue.units import count_of
from exporter.model import Reason
from exporter.nvml.answers import REASONS, number_of_type
from exporter.nvml.calls import DEVICE_GONE, Calls

MOST_GPUS = 64
"""As many as a number of DCGM's has bits."""


def read_registers(calls: Calls, device: Any, link: int, ids: list[int]) -> list[int | float | Reason]:
    """Read counters of one link's port registers, all in one call.

    Args:
        calls: How to call NVML.
        device: The device's handle.
        link: The link's number. Registers count ports from 1 on, as on the switches that NVLink 5 shares them with;
            no machine that answers was at hand.
        ids: NVML_PRM_COUNTER_ID_* numbers.

    Returns:
        One answer for each id.

    Source: nvmlDeviceReadPRMCounters_v1.
    """
    port = pynvml.c_nvmlPRMCounterInput_v1_t(link + 1)
    counters = (pynvml.c_nvmlPRMCounter_v1_t * len(ids))(*(pynvml.c_nvmlPRMCounter_v1_t(one, port) for one in ids))
    answer = calls("nvmlDeviceReadPRMCounters_v1", device, pynvml.c_nvmlPRMCounterList_v1_t(len(ids), counters))
    if isinstance(answer, Reason):
        return [answer] * len(ids)
    return [_value(counter.outputValue) for counter in counters]


def peer_statuses(calls: Calls, device: Any, index: int, capability: int) -> dict[int, int] | Reason:
    """Return whether a GPU reaches the others directly: NVML_P2P_STATUS_* by their indices.

    Args:
        calls: How to call NVML.
        device: The device's handle.
        index: Its index.
        capability: By what it reaches them, NVML_P2P_CAPS_INDEX_*.

    Returns:
        The statuses, without those of GPUs that are lost: a loss may be the other GPU's, and says nothing of this one.

    Source: nvmlDeviceGetP2PStatus; 1.6 ms a pair on an H200.
    """
    answer = calls("nvmlDeviceGetCount")
    count = answer if isinstance(answer, Reason) else count_of(answer, MOST_GPUS)
    if isinstance(count, Reason):
        return count
    statuses: dict[int, int] = {}
    for other in range(count):
        handle = calls("nvmlDeviceGetHandleByIndex", other) if other != index else Reason.GPU_LOST
        status = handle if isinstance(handle, Reason) else calls("nvmlDeviceGetP2PStatus", device, handle, capability)
        if not isinstance(status, Reason):
            statuses[other] = status
        elif status is handle or status in DEVICE_GONE:
            continue  # itself, or one that is lost
        else:
            return status
    return statuses


def _value(output: Any) -> int | float | Reason:
    if output.status != pynvml.NVML_SUCCESS:
        return REASONS.get(output.status, Reason.UNKNOWN)
    return number_of_type(output.outputType, output.outputValue)

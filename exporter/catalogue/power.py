"""Power and its limits in watts, and energy since the driver was loaded, in millijoules and joules."""

from typing import Any

from pynvml import NVML_FI_DEV_POWER_INSTANT, NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION

from exporter.catalogue.convert import milli, same, whole_milli
from exporter.catalogue.reading import SLOW, Call, Field, FieldValue
from exporter.model import Reason, Value


def least(limits: Any) -> Value | Reason:
    """Return the lowest limit that can be set."""
    return milli(limits[0])


def greatest(limits: Any) -> Value | Reason:
    """Return the highest limit that can be set."""
    return milli(limits[1])


READINGS = (
    Call("nvmlDeviceGetPowerUsage", (Field("DCGM_FI_DEV_BOARD_POWER_WATTS", milli),)),
    FieldValue(
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,  # 3 ms on an H100, nearly all of a collection
        (
            Field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", same),
            Field("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", whole_milli),
        ),
        period=SLOW,
        accumulates=True,
    ),
    FieldValue(NVML_FI_DEV_POWER_INSTANT, (Field("DCGM_FI_DEV_BOARD_POWER_RAW_WATTS", milli),)),
    Call(
        "nvmlDeviceGetPowerManagementLimit",
        (Field("DCGM_FI_DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS", milli),),
        period=SLOW,
    ),
    Call(
        "nvmlDeviceGetPowerManagementLimitConstraints",
        (
            Field("DCGM_FI_DEV_BOARD_POWER_LIMIT_MIN_WATTS", least),
            Field("DCGM_FI_DEV_BOARD_POWER_LIMIT_MAX_WATTS", greatest),
        ),
        period=SLOW,
    ),
    Call(
        "nvmlDeviceGetPowerManagementDefaultLimit",
        (Field("DCGM_FI_DEV_BOARD_POWER_LIMIT_DEFAULT_WATTS", milli),),
        period=SLOW,
    ),
    Call(
        "nvmlDeviceGetEnforcedPowerLimit",
        (Field("DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS", milli),),
        period=SLOW,
    ),
)

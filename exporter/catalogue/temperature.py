"""Temperatures of GPU and memory, their limits, and what is left to the nearest one, in degrees Celsius; the fan."""

from pynvml import (
    NVML_FI_DEV_MEMORY_TEMP,
    NVML_TEMPERATURE_GPU,
    NVML_TEMPERATURE_THRESHOLD_GPU_MAX,
    NVML_TEMPERATURE_THRESHOLD_MEM_MAX,
    NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
)

from exporter.catalogue.convert import percent_as_ratio, same
from exporter.catalogue.reading import SLOW, Call, Field, FieldValue


def _limit(threshold: int, name: str) -> Call:
    return Call("nvmlDeviceGetTemperatureThreshold", (Field(name, same),), args=(threshold,), period=SLOW)


READINGS = (
    Call(
        "nvmlDeviceGetTemperature",
        (Field("DCGM_FI_DEV_GPU_TEMP_CELSIUS", same),),
        args=(NVML_TEMPERATURE_GPU,),
    ),
    FieldValue(NVML_FI_DEV_MEMORY_TEMP, (Field("DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", same),)),
    Call(
        "nvmlDeviceGetMarginTemperature",  # 0.7 ms on an H100
        (Field("DCGM_FI_DEV_GPU_TEMP_MARGIN_CELSIUS", same),),
    ),
    _limit(NVML_TEMPERATURE_THRESHOLD_MEM_MAX, "DCGM_FI_DEV_MEMORY_MAX_OP_TEMP_CELSIUS"),
    _limit(NVML_TEMPERATURE_THRESHOLD_GPU_MAX, "DCGM_FI_DEV_GPU_MAX_OP_TEMP_CELSIUS"),
    _limit(NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, "DCGM_FI_DEV_GPU_TEMP_SLOWDOWN_CELSIUS"),
    _limit(NVML_TEMPERATURE_THRESHOLD_SHUTDOWN, "DCGM_FI_DEV_GPU_TEMP_SHUTDOWN_CELSIUS"),
    Call(
        "nvmlDeviceGetFanSpeed",
        (Field("DCGM_FI_DEV_FAN_SPEED", same), Field("DCGM_FI_DEV_FAN_SPEED_RATIO", percent_as_ratio)),
    ),
)

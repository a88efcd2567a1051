"""Temperatures of GPU and memory, in degrees Celsius."""

from pynvml import NVML_FI_DEV_MEMORY_TEMP, NVML_TEMPERATURE_GPU

from exporter.catalogue.convert import same
from exporter.catalogue.reading import Call, Field, FieldValue

READINGS = (
    Call(
        "nvmlDeviceGetTemperature",
        (Field("DCGM_FI_DEV_GPU_TEMP_CELSIUS", same),),
        args=(NVML_TEMPERATURE_GPU,),
    ),
    FieldValue(NVML_FI_DEV_MEMORY_TEMP, (Field("DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", same),)),
)

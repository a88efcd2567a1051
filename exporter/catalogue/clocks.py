"""Clocks, in MHz and in hertz."""

from pynvml import NVML_CLOCK_MEM, NVML_CLOCK_SM

from exporter.catalogue.convert import mega, same
from exporter.catalogue.reading import Call, Field

READINGS = (
    Call(
        "nvmlDeviceGetClockInfo",
        (Field("DCGM_FI_DEV_SM_CLOCK", same), Field("DCGM_FI_DEV_SM_CLOCK_HERTZ", mega)),
        args=(NVML_CLOCK_SM,),
    ),
    Call(
        "nvmlDeviceGetClockInfo",
        (Field("DCGM_FI_DEV_MEM_CLOCK", same), Field("DCGM_FI_DEV_MEMORY_CLOCK_HERTZ", mega)),
        args=(NVML_CLOCK_MEM,),
    ),
)

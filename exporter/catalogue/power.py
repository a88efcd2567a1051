"""Power in watts, and energy since the driver was loaded, in millijoules and joules."""

from pynvml import NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION

from exporter.catalogue.convert import milli, same, whole_milli
from exporter.catalogue.reading import Call, Field, FieldValue

READINGS = (
    Call("nvmlDeviceGetPowerUsage", (Field("DCGM_FI_DEV_BOARD_POWER_WATTS", milli),)),
    FieldValue(
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,  # 3 ms on an H100, nearly all of a collection
        (
            Field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", same),
            Field("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", whole_milli),
        ),
    ),
)

"""The InfoROM: versions of its parts, its checksum, and whether it is sound."""

from pynvml import NVML_ERROR_CORRUPTED_INFOROM, NVML_INFOROM_ECC, NVML_INFOROM_OEM, NVML_INFOROM_POWER

from exporter.catalogue.convert import same
from exporter.catalogue.reading import HOURLY, LAYOUT, Call, Field
from exporter.model import Reason, Value

CORRUPTED = "corrupted"


def is_valid(answer: object) -> Value | Reason:
    """Return 1 where the InfoROM is sound, else 0."""
    return int(answer != CORRUPTED)


READINGS = (
    Call(
        "nvmlDeviceGetInforomVersion",
        (Field("DCGM_FI_DEV_INFOROM_OEM_VERSION", same),),
        args=(NVML_INFOROM_OEM,),
        period=LAYOUT,
    ),
    Call(
        "nvmlDeviceGetInforomVersion",
        (Field("DCGM_FI_DEV_INFOROM_ECC_VERSION", same),),
        args=(NVML_INFOROM_ECC,),
        period=LAYOUT,
    ),
    Call(
        "nvmlDeviceGetInforomVersion",
        (Field("DCGM_FI_DEV_INFOROM_POWER_VERSION", same),),
        args=(NVML_INFOROM_POWER,),
        period=LAYOUT,
    ),
    Call("nvmlDeviceGetInforomImageVersion", (Field("DCGM_FI_DEV_INFOROM_IMAGE_VERSION", same),), period=LAYOUT),
    Call(
        "nvmlDeviceGetInforomConfigurationChecksum",  # 69 ms on an H100
        (Field("DCGM_FI_DEV_INFOROM_CHECKSUM", same),),
        period=HOURLY,
    ),
    Call(
        "nvmlDeviceValidateInforom",  # 70 ms on an H200
        (Field("DCGM_FI_DEV_INFOROM_VALID", is_valid),),
        errors=((NVML_ERROR_CORRUPTED_INFOROM, CORRUPTED),),
        period=HOURLY,
    ),
)

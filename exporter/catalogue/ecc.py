"""ECC: whether it is on, and errors by kind, since the driver was loaded (VOL) or ever (AGG), and where they were."""

import pynvml
from pynvml import c_nvmlEccSramErrorStatus_v1_t

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import SLOW, Call, Field, FieldValue, Reading

ERRORS = {"SBE": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, "DBE": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED}
LIVES = {"VOL": pynvml.NVML_VOLATILE_ECC, "AGG": pynvml.NVML_AGGREGATE_ECC}
LOCATIONS = {
    "L1": pynvml.NVML_MEMORY_LOCATION_L1_CACHE,
    "L2": pynvml.NVML_MEMORY_LOCATION_L2_CACHE,
    "DEV": pynvml.NVML_MEMORY_LOCATION_DEVICE_MEMORY,
    "REG": pynvml.NVML_MEMORY_LOCATION_REGISTER_FILE,
    "TEX": pynvml.NVML_MEMORY_LOCATION_TEXTURE_MEMORY,
    "SHM": pynvml.NVML_MEMORY_LOCATION_TEXTURE_SHM,
    "CBU": pynvml.NVML_MEMORY_LOCATION_CBU,
    "SRM": pynvml.NVML_MEMORY_LOCATION_SRAM,
}

READINGS: tuple[Reading, ...] = (
    FieldValue(pynvml.NVML_FI_DEV_ECC_CURRENT, (Field("DCGM_FI_DEV_ECC_MODE", same),), period=SLOW),
    FieldValue(pynvml.NVML_FI_DEV_ECC_PENDING, (Field("DCGM_FI_DEV_ECC_PENDING", same),), period=SLOW),
    *(
        FieldValue(
            getattr(pynvml, f"NVML_FI_DEV_ECC_{error}_{life}_TOTAL"),
            (Field(f"DCGM_FI_DEV_ECC_{error}_{life}_TOTAL", same),),
            period=SLOW,
            accumulates=True,
        )
        for life in LIVES
        for error in ERRORS
    ),
    *(
        Call(
            "nvmlDeviceGetMemoryErrorCounter",
            (Field(f"DCGM_FI_DEV_ECC_{error}_{life}_{location}", same),),
            args=(ERRORS[error], LIVES[life], LOCATIONS[location]),
            period=SLOW,
            accumulates=True,
        )
        for life in LIVES
        for location in LOCATIONS
        for error in ERRORS
    ),
    Call(
        "nvmlDeviceGetSramEccErrorStatus",
        (Field("DCGM_FI_DEV_SRAM_EXCEEDED", attr("bThresholdExceeded")),),
        fills=(c_nvmlEccSramErrorStatus_v1_t,),
    ),
)

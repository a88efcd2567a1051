"""Memory that the GPU has put out of use: rows from Ampere on, pages before; and whether more can be put out of use."""

import pynvml

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import SLOW, Call, Field, FieldValue, Reading

READINGS: tuple[Reading, ...] = (
    Call(
        "nvmlDeviceGetRowRemapperHistogram",
        tuple(
            Field(f"DCGM_FI_DEV_BANK_REMAP_AVAIL_{level.upper()}", attr(level))
            for level in ("max", "high", "partial", "low", "none")
        ),
        period=SLOW,
    ),
    Call(
        "nvmlDeviceGetRetiredPages",
        (Field("DCGM_FI_DEV_PAGE_RETIRED_SBE_TOTAL", len),),
        args=(pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,),
        period=SLOW,
    ),
    FieldValue(pynvml.NVML_FI_DEV_RETIRED_DBE, (Field("DCGM_FI_DEV_PAGE_RETIRED_DBE_TOTAL", same),)),
    FieldValue(pynvml.NVML_FI_DEV_RETIRED_PENDING, (Field("DCGM_FI_DEV_PAGE_RETIRED_PENDING", same),)),
    FieldValue(pynvml.NVML_FI_DEV_REMAPPED_UNC, (Field("DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", same),)),
    FieldValue(pynvml.NVML_FI_DEV_REMAPPED_COR, (Field("DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL", same),)),
    FieldValue(pynvml.NVML_FI_DEV_REMAPPED_FAILURE, (Field("DCGM_FI_DEV_ROW_REMAP_FAILED", same),)),
    FieldValue(pynvml.NVML_FI_DEV_REMAPPED_PENDING, (Field("DCGM_FI_DEV_ROW_REMAP_PENDING", same),)),
    Call(
        "nvmlDeviceGetUnrepairableMemoryFlag_v1",
        (Field("DCGM_FI_DEV_MEMORY_UNREPAIRABLE", same),),
        period=SLOW,
    ),
    FieldValue(pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, (Field("DCGM_FI_DEV_GPU_RECOVERY_ACTION", same),)),
)

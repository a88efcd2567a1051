"""Memory rows that the GPU has replaced: Ampere and newer."""

from pynvml import NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_UNC

from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, FieldValue

READINGS = (
    FieldValue(NVML_FI_DEV_REMAPPED_COR, (Field("DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL", same),)),
    FieldValue(NVML_FI_DEV_REMAPPED_UNC, (Field("DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", same),)),
    FieldValue(NVML_FI_DEV_REMAPPED_FAILURE, (Field("DCGM_FI_DEV_ROW_REMAP_FAILED", same),)),
)

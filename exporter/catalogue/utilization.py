"""Utilization of the GPU, its memory interface, encoder and decoder: percent, and ratios of 1."""

from exporter.catalogue.convert import attr, first, first_as_ratio, ratio_of
from exporter.catalogue.reading import Call, Field

READINGS = (
    Call(
        "nvmlDeviceGetUtilizationRates",
        (
            Field("DCGM_FI_DEV_GPU_UTIL", attr("gpu")),
            Field("DCGM_FI_DEV_GPU_UTIL_RATIO", ratio_of("gpu")),
            Field("DCGM_FI_DEV_MEM_COPY_UTIL", attr("memory")),
            Field("DCGM_FI_DEV_MEMORY_UTIL_RATIO", ratio_of("memory")),
        ),
    ),
    Call(
        "nvmlDeviceGetEncoderUtilization",
        (Field("DCGM_FI_DEV_ENC_UTIL", first), Field("DCGM_FI_DEV_ENC_UTIL_RATIO", first_as_ratio)),
    ),
    Call(
        "nvmlDeviceGetDecoderUtilization",
        (Field("DCGM_FI_DEV_DEC_UTIL", first), Field("DCGM_FI_DEV_DEC_UTIL_RATIO", first_as_ratio)),
    ),
)

"""Utilization of the GPU, its memory interface, encoder and decoder: percent, and ratios of 1.

What is busy only now and then has an instant value that depends on the moment; `MEAN_GPU_UTIL` gives the mean instead.
"""

from pynvml import NVML_GPU_UTILIZATION_SAMPLES

from exporter.catalogue.convert import Convert, attr, first, first_as_ratio, of_number, percent_as_ratio, ratio_of
from exporter.catalogue.reading import RING, Call, Field, Reading, Tracked, Tracker
from exporter.model import Reason


def _mean(convert: Convert) -> Convert:
    """Make a conversion of a ring's mean, where there is one yet."""
    return lambda answer: answer.percent if isinstance(answer.percent, Reason) else convert(answer.percent)


GPU_UTIL = Call(
    "nvmlDeviceGetUtilizationRates",
    (Field("DCGM_FI_DEV_GPU_UTIL", attr("gpu")), Field("DCGM_FI_DEV_GPU_UTIL_RATIO", ratio_of("gpu"))),
)
"""The GPU's utilization at the moment."""

MEAN_GPU_UTIL = Tracked(
    Tracker.RINGS,
    (NVML_GPU_UTILIZATION_SAMPLES,),
    (
        Field("DCGM_FI_DEV_GPU_UTIL", _mean(of_number(round))),
        Field("DCGM_FI_DEV_GPU_UTIL_RATIO", _mean(percent_as_ratio)),
    ),
    period=RING,
    accumulates=True,
)
"""The same fields, as means since the last scrape."""

OTHERS = (
    Call(
        "nvmlDeviceGetUtilizationRates",
        (
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


def readings(*, mean_gpu_util: bool) -> tuple[Reading, ...]:
    """Return the readings; the GPU's utilization is a mean or the current value."""
    return (MEAN_GPU_UTIL if mean_gpu_util else GPU_UTIL, *OTHERS)

"""Which CPUs and memory nodes are near a GPU, as masks of 64 bits a field."""

from collections.abc import Callable
from typing import Any

from pynvml import NVML_AFFINITY_SCOPE_NODE

from exporter.catalogue.reading import LAYOUT, Call, Field

WORDS = range(4)
"""DCGM has a field for each of four words: 256 CPUs."""


def word(number: int) -> Callable[[Any], int]:
    """Make a conversion that takes one word of a mask."""
    return lambda mask: int(mask[number])


READINGS = (
    Call(
        "nvmlDeviceGetCpuAffinity",
        tuple(Field(f"DCGM_FI_DEV_CPU_AFFINITY_{number}", word(number)) for number in WORDS),
        args=(len(WORDS),),
        period=LAYOUT,
    ),
    Call(
        "nvmlDeviceGetMemoryAffinity",
        tuple(Field(f"DCGM_FI_DEV_MEMORY_AFFINITY_{number}", word(number)) for number in WORDS),
        args=(len(WORDS), NVML_AFFINITY_SCOPE_NODE),
        period=LAYOUT,
    ),
)

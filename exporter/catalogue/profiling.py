"""Profiling by GPM (Hopper and newer): means since the last scrape, all from one pair of samples."""

from collections.abc import Iterator

import pynvml

from exporter.catalogue.convert import Convert, mib_as_bytes, of_number, percent_as_ratio
from exporter.catalogue.reading import LINKS, SLOW, Field, Scope, Tracked, Tracker

whole = of_number(int)
"""Return a number without its fraction, as DCGM has it."""

INSTANCE_RATIOS = {
    "GRAPHICS_UTIL": "GR_ENGINE_UTIL_RATIO",
    "SM_UTIL": "SM_UTIL_RATIO",
    "SM_OCCUPANCY": "SM_OCCUPANCY_RATIO",
    "ANY_TENSOR_UTIL": "TENSOR_UTIL_RATIO",
    "DRAM_BW_UTIL": "DRAM_UTIL_RATIO",
    "FP64_UTIL": "FP64_UTIL_RATIO",
    "FP32_UTIL": "FP32_UTIL_RATIO",
    "FP16_UTIL": "FP16_UTIL_RATIO",
    "IMMA_TENSOR_UTIL": "IMMA_UTIL_RATIO",
    "HMMA_TENSOR_UTIL": "HMMA_UTIL_RATIO",
    "DFMA_TENSOR_UTIL": "DFMA_UTIL_RATIO",
    "INTEGER_UTIL": "INT_UTIL_RATIO",
    **{f"NVDEC_{number}_UTIL": f"NVDEC_UTIL_{number}_RATIO" for number in range(8)},
    **{f"NVJPG_{number}_UTIL": f"NVJPG_UTIL_{number}_RATIO" for number in range(8)},
}
"""Names in DCGM by those in NVML, likewise below. In percent, of GPUs and MIG instances."""

RATIOS = {f"NVOFA_{number}_UTIL": f"NVOFA_UTIL_{number}_RATIO" for number in range(2)}
"""In percent, of GPUs."""

RATES = {
    "PCIE_TX_PER_SEC": "PCIE_TX_BYTES",
    "PCIE_RX_PER_SEC": "PCIE_RX_BYTES",
    "NVLINK_TOTAL_TX_PER_SEC": "NVLINK_TX_BYTES",
    "NVLINK_TOTAL_RX_PER_SEC": "NVLINK_RX_BYTES",
    **{f"NVLINK_L{link}_{way}_PER_SEC": f"NVLINK_L{link}_{way}_BYTES" for link in LINKS for way in ("TX", "RX")},
    "C2C_TOTAL_TX_PER_SEC": "C2C_TX_ALL_BYTES",
    "C2C_DATA_TX_PER_SEC": "C2C_TX_DATA_BYTES",
    "C2C_TOTAL_RX_PER_SEC": "C2C_RX_ALL_BYTES",
    "C2C_DATA_RX_PER_SEC": "C2C_RX_DATA_BYTES",
}
"""In MiB a second."""

NUMBERS = {
    "HOSTMEM_CACHE_HIT": "HOSTMEM_CACHE_HIT",
    "HOSTMEM_CACHE_MISS": "HOSTMEM_CACHE_MISS",
    "PEERMEM_CACHE_HIT": "PEERMEM_CACHE_HIT",
    "PEERMEM_CACHE_MISS": "PEERMEM_CACHE_MISS",
    "SM_CYCLES_ELAPSED": "SM_CYCLES_ELAPSED_TOTAL",
    "SM_CYCLES_ACTIVE": "SM_CYCLES_ACTIVE_TOTAL",
    "MMA_CYCLES_ACTIVE": "MMA_CYCLES_ACTIVE_TOTAL",
    "DMMA_CYCLES_ACTIVE": "DMMA_CYCLES_ACTIVE_TOTAL",
    "HMMA_CYCLES_ACTIVE": "HMMA_CYCLES_ACTIVE_TOTAL",
    "IMMA_CYCLES_ACTIVE": "IMMA_CYCLES_ACTIVE_TOTAL",
    "DFMA_CYCLES_ACTIVE": "DFMA_CYCLES_ACTIVE_TOTAL",
    "PCIE_TX": "PCIE_TX_BYTES_TOTAL",
    "PCIE_RX": "PCIE_RX_BYTES_TOTAL",
    "INTEGER_CYCLES_ACTIVE": "INT_CYCLES_ACTIVE_TOTAL",
    "FP64_CYCLES_ACTIVE": "FP64_CYCLES_ACTIVE_TOTAL",
    "FP32_CYCLES_ACTIVE": "FP32_CYCLES_ACTIVE_TOTAL",
    "FP16_CYCLES_ACTIVE": "FP16_CYCLES_ACTIVE_TOTAL",
}
"""As NVML has them; driver 580 refuses the cycles and the bytes."""


def metric(name: str) -> int:
    """Return a metric's number by its name."""
    number: int = getattr(pynvml, f"NVML_GPM_METRIC_{name}")
    return number


def _of(table: dict[str, str], convert: Convert, scope: Scope = Scope.GPU) -> Iterator[Tracked]:
    for theirs, name in table.items():
        fields = (Field(f"DCGM_FI_PROF_{name}", convert),)
        yield Tracked(Tracker.GPM, (metric(theirs),), fields, scope, SLOW, accumulates=True)


def _of_each_link(way: str) -> Tracked:
    metrics = tuple(metric(f"NVLINK_L{link}_{way}_PER_SEC") for link in LINKS)
    fields = (Field(f"DCGM_FI_PROF_NVLINK_{way}_BYTES_PER_LINK", mib_as_bytes),)
    return Tracked(Tracker.GPM, metrics, fields, Scope.LINK, SLOW, accumulates=True)


READINGS = (
    *_of(INSTANCE_RATIOS, percent_as_ratio, Scope.INSTANCE),
    *_of(RATIOS, percent_as_ratio),
    *_of(RATES, mib_as_bytes),
    *_of(NUMBERS, whole),
    _of_each_link("TX"),
    _of_each_link("RX"),
)

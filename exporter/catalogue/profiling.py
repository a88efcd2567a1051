"""Profiling by GPM (Hopper and newer): means between this collection and the one before."""

from pynvml import (
    NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    NVML_GPM_METRIC_DRAM_BW_UTIL,
    NVML_GPM_METRIC_GRAPHICS_UTIL,
    NVML_GPM_METRIC_PCIE_RX_PER_SEC,
    NVML_GPM_METRIC_PCIE_TX_PER_SEC,
)

from exporter.catalogue.convert import Convert, mib_as_bytes, percent_as_ratio
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker


def _gpm(metric: int, name: str, convert: Convert, scope: Scope) -> Tracked:
    return Tracked(Tracker.GPM, (metric,), (Field(name, convert),), scope)


READINGS = (
    _gpm(NVML_GPM_METRIC_GRAPHICS_UTIL, "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", percent_as_ratio, Scope.INSTANCE),
    _gpm(NVML_GPM_METRIC_ANY_TENSOR_UTIL, "DCGM_FI_PROF_TENSOR_UTIL_RATIO", percent_as_ratio, Scope.INSTANCE),
    _gpm(NVML_GPM_METRIC_DRAM_BW_UTIL, "DCGM_FI_PROF_DRAM_UTIL_RATIO", percent_as_ratio, Scope.INSTANCE),
    _gpm(NVML_GPM_METRIC_PCIE_TX_PER_SEC, "DCGM_FI_PROF_PCIE_TX_BYTES", mib_as_bytes, Scope.GPU),
    _gpm(NVML_GPM_METRIC_PCIE_RX_PER_SEC, "DCGM_FI_PROF_PCIE_RX_BYTES", mib_as_bytes, Scope.GPU),
)

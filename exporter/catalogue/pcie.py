"""PCIe: errors, throughput, and what the link could be and is."""

from pynvml import NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, NVML_PCIE_UTIL_RX_BYTES, NVML_PCIE_UTIL_TX_BYTES

from exporter.catalogue.convert import same
from exporter.catalogue.reading import LAYOUT, SLOW, UNHURRIED, Call, Field, FieldValue

READINGS = (
    Call(
        "nvmlDeviceGetPcieThroughput",  # counts for 20 ms and sleeps meanwhile
        (Field("DCGM_FI_DEV_PCIE_TX_THROUGHPUT", same),),
        args=(NVML_PCIE_UTIL_TX_BYTES,),
        period=UNHURRIED,
    ),
    Call(
        "nvmlDeviceGetPcieThroughput",
        (Field("DCGM_FI_DEV_PCIE_RX_THROUGHPUT", same),),
        args=(NVML_PCIE_UTIL_RX_BYTES,),
        period=UNHURRIED,
    ),
    Call(
        "nvmlDeviceGetPcieReplayCounter",  # 0.4 ms on an H200
        (Field("DCGM_FI_DEV_PCIE_REPLAY_TOTAL", same),),
        period=SLOW,
        accumulates=True,
    ),
    Call("nvmlDeviceGetMaxPcieLinkGeneration", (Field("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", same),), period=LAYOUT),
    Call("nvmlDeviceGetMaxPcieLinkWidth", (Field("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", same),), period=LAYOUT),
    Call("nvmlDeviceGetCurrPcieLinkGeneration", (Field("DCGM_FI_DEV_PCIE_LINK_GEN", same),)),
    Call("nvmlDeviceGetCurrPcieLinkWidth", (Field("DCGM_FI_DEV_PCIE_LINK_WIDTH", same),)),
    FieldValue(
        NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS,  # 0.4 ms on an H100
        (Field("DCGM_FI_DEV_PCIE_CORRECTABLE_ERROR_TOTAL", same),),
        period=SLOW,
    ),
)

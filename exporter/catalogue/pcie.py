"""PCIe link errors."""

from exporter.catalogue.convert import same
from exporter.catalogue.reading import Call, Field

READINGS = (Call("nvmlDeviceGetPcieReplayCounter", (Field("DCGM_FI_DEV_PCIE_REPLAY_TOTAL", same),)),)

"""Which other GPUs a GPU reaches by NVLink: all in a mask, and the status of each pair, in both directions."""

from typing import Any

import pynvml

from exporter.catalogue.convert import attr
from exporter.catalogue.reading import SLOW, Field, Scope, Tracked, Tracker
from exporter.model import Labels

STATUSES = {
    pynvml.NVML_P2P_STATUS_OK: "OK",
    pynvml.NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED: "ChipsetNotSupported",
    pynvml.NVML_P2P_STATUS_GPU_NOT_SUPPORTED: "GPUNotSupported",
    pynvml.NVML_P2P_STATUS_IOH_TOPOLOGY_NOT_SUPPORTED: "TopologyNotSupported",
    pynvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY: "DisabledByRegKey",
    pynvml.NVML_P2P_STATUS_NOT_SUPPORTED: "NotSupported",
}
"""What dcgm-exporter calls them; all others are Unknown."""


def mask_of(statuses: dict[int, int]) -> int:
    """Return the GPUs that are reached as bits by their indices."""
    return sum(1 << index for index, status in statuses.items() if status == pynvml.NVML_P2P_STATUS_OK)


def _described(status: Any) -> Labels:
    return (("peer_gpu", str(status.peer)), ("link_status", STATUSES.get(status.status, "Unknown")))


READINGS = (
    Tracked(
        Tracker.PEERS,
        (pynvml.NVML_P2P_CAPS_INDEX_NVLINK,),
        (Field("DCGM_FI_DEV_NVLINK_P2P_STATUS", mask_of),),
        period=SLOW,
    ),
    Tracked(
        Tracker.PEERS,
        (pynvml.NVML_P2P_CAPS_INDEX_NVLINK,),
        (Field("DCGM_EXP_P2P_STATUS", attr("status"), _described),),
        Scope.PEER,
        SLOW,
    ),
)

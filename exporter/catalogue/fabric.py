"""The NVLink fabric that a GPU has joined, and its place in a chassis. 0.2 ms each on an H200."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pynvml
from pynvml import (
    c_nvmlGpuFabricInfo_v2_t,
    c_nvmlGpuFabricInfo_v3_t,
    c_nvmlPlatformInfo_v1_t,
    c_nvmlPlatformInfo_v2_t,
)

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import LAYOUT, SLOW, Call, Field
from exporter.model import Reason, Value

FAILURE, UNRECOGNIZED = 4, 5
"""DCGM's own states of the fabric manager, behind NVML's, of which completed becomes success."""


def status(info: Any) -> Value | Reason:
    """Return DCGM's status of the fabric manager: 0 not supported to 3 success, 4 failure, 5 unrecognized."""
    if info.state > pynvml.NVML_GPU_FABRIC_STATE_COMPLETED:
        return UNRECOGNIZED
    has_failed = info.state == pynvml.NVML_GPU_FABRIC_STATE_COMPLETED and info.status != pynvml.NVML_SUCCESS
    return FAILURE if has_failed else int(info.state)


def error(info: Any) -> Value | Reason:
    """Return how joining the fabric ended, an NVML return code; it is known when that is over."""
    return same(info.status) if info.state == pynvml.NVML_GPU_FABRIC_STATE_COMPLETED else Reason.NO_SAMPLE_YET


def cluster(info: Any) -> Value | Reason:
    """Return the UUID of the cluster that was joined."""
    if info.state != pynvml.NVML_GPU_FABRIC_STATE_COMPLETED:
        return Reason.NO_SAMPLE_YET
    return str(UUID(bytes=bytes(info.clusterUuid)))


def summary(info: Any) -> Value | Reason:
    """Return the health in one number, which older drivers do not have."""
    return same(getattr(info, "healthSummary", Reason.NOT_SUPPORTED))


def uuid_of(*names: str) -> Callable[[Any], Value | Reason]:
    """Make a conversion of 16 bytes, under the first of these names, to a UUID, as DCGM writes them."""
    return lambda info: str(UUID(bytes=_bytes(info, names)))


def byte_of(*names: str) -> Callable[[Any], Value | Reason]:
    """Make a conversion of one byte, under the first of these names, to a number."""
    return lambda info: _bytes(info, names)[0]


def _bytes(info: Any, names: tuple[str, ...]) -> bytes:
    """Return a member's bytes; pynvml gives them as text that ends at the first zero."""
    member = next(getattr(type(info), name) for name in names if hasattr(type(info), name))
    return bytes(info)[member.offset : member.offset + member.size]


READINGS = (
    Call(
        "nvmlDeviceGetGpuFabricInfoV",
        (
            Field("DCGM_FI_DEV_FABRIC_MANAGER_STATUS", status),
            Field("DCGM_FI_DEV_FABRIC_MANAGER_ERROR", error),
            Field("DCGM_FI_DEV_FABRIC_CLUSTER_UUID", cluster),
            Field("DCGM_FI_DEV_FABRIC_CLIQUE_ID", attr("cliqueId")),
            Field("DCGM_FI_DEV_FABRIC_HEALTH_MASK", attr("healthMask")),
            Field("DCGM_FI_DEV_FABRIC_HEALTH_SUMMARY", summary),
        ),
        fills=(c_nvmlGpuFabricInfo_v3_t, c_nvmlGpuFabricInfo_v2_t),
        period=SLOW,
    ),
    Call(
        "nvmlDeviceGetPlatformInfo",
        (
            Field("DCGM_FI_DEV_PLATFORM_INFINIBAND_GUID", uuid_of("ibGuid")),
            Field("DCGM_FI_DEV_PLATFORM_CHASSIS_SERIAL_NUMBER", uuid_of("chassisSerialNumber", "rackGuid")),
            Field("DCGM_FI_DEV_PLATFORM_CHASSIS_SLOT_NUMBER", byte_of("slotNumber", "chassisPhysicalSlotNumber")),
            Field("DCGM_FI_DEV_PLATFORM_TRAY_INDEX", byte_of("trayIndex", "computeSlotIndex")),
            Field("DCGM_FI_DEV_PLATFORM_HOST_ID", byte_of("hostId", "nodeIndex")),
            Field("DCGM_FI_DEV_PLATFORM_PEER_TYPE", byte_of("peerType")),
            Field("DCGM_FI_DEV_PLATFORM_MODULE_ID", byte_of("moduleId")),
        ),
        fills=(c_nvmlPlatformInfo_v2_t, c_nvmlPlatformInfo_v1_t),
        period=LAYOUT,
    ),
)

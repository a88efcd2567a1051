"""Framebuffer of GPUs and MIG instances: total, free, used and reserved, in MiB and bytes. All from one call.

No part of a memory is greater than the whole.
"""

from typing import Any

from pynvml import nvmlMemory_v2

from exporter.catalogue.convert import attr, mib_of, part
from exporter.catalogue.reading import Call, Field, Scope
from exporter.model import Reason, Value


def used_ratio(memory: Any) -> Value | Reason:
    """Return used memory as a ratio of what can be allocated, 0 to 1."""
    used, reserved = part(memory, "used", "total"), part(memory, "reserved", "total")
    if isinstance(used, Reason):
        return used
    if isinstance(reserved, Reason):
        return reserved
    allocatable = memory.total - reserved
    return used / allocatable if allocatable > 0 else Reason.NOT_A_NUMBER


READINGS = (
    Call(
        "nvmlDeviceGetMemoryInfo",
        (
            Field("DCGM_FI_DEV_FB_TOTAL", mib_of("total")),
            Field("DCGM_FI_DEV_FB_FREE", mib_of("free", "total")),
            Field("DCGM_FI_DEV_FB_USED", mib_of("used", "total")),
            Field("DCGM_FI_DEV_FB_RESERVED", mib_of("reserved", "total")),
            Field("DCGM_FI_DEV_FB_USED_RATIO", used_ratio),
            Field("DCGM_FI_DEV_FB_CAPACITY_BYTES", attr("total")),
            Field("DCGM_FI_DEV_FB_FREE_BYTES", attr("free", "total")),
            Field("DCGM_FI_DEV_FB_USED_BYTES", attr("used", "total")),
            Field("DCGM_FI_DEV_FB_RESERVED_BYTES", attr("reserved", "total")),
        ),
        args=(nvmlMemory_v2,),
        scope=Scope.INSTANCE,
    ),
)

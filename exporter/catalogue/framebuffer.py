"""Framebuffer of GPUs and MIG instances: total, free, used and reserved, in MiB and bytes. All from one call.

No part of a memory is greater than the whole. Drivers before R510 have version 1 alone: its `used` counts what the
driver keeps for itself, too, and nothing tells how much that is. DCGM prints the same numbers there.
"""

from typing import Any

from pynvml import nvmlMemory_v2

from exporter.catalogue.convert import Convert, attr, mib_of, part
from exporter.catalogue.reading import Call, Field, Scope, Version
from exporter.model import Reason, Value


def reserved_of(convert: Convert) -> Convert:
    """Make a conversion that has no value in version 1, which does not tell what is reserved."""
    return lambda memory: convert(memory) if hasattr(memory, "reserved") else Reason.NOT_SUPPORTED


def used_ratio(memory: Any) -> Value | Reason:
    """Return used memory as a ratio of what can be allocated, 0 to 1."""
    used = part(memory, "used", "total")
    reserved = part(memory, "reserved", "total") if hasattr(memory, "reserved") else 0
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
            Field("DCGM_FI_DEV_FB_RESERVED", reserved_of(mib_of("reserved", "total"))),
            Field("DCGM_FI_DEV_FB_USED_RATIO", used_ratio),
            Field("DCGM_FI_DEV_FB_CAPACITY_BYTES", attr("total")),
            Field("DCGM_FI_DEV_FB_FREE_BYTES", attr("free", "total")),
            Field("DCGM_FI_DEV_FB_USED_BYTES", attr("used", "total")),
            Field("DCGM_FI_DEV_FB_RESERVED_BYTES", reserved_of(attr("reserved", "total"))),
        ),
        args=(nvmlMemory_v2,),
        scope=Scope.INSTANCE,
        older=(Version("nvmlDeviceGetMemoryInfo"),),
    ),
)

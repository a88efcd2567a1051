"""BAR1 of GPUs and MIG instances: the part of their memory that PCIe maps, in MiB and bytes. 0.2 ms on an H100."""

from exporter.catalogue.convert import attr, mib_of
from exporter.catalogue.reading import Call, Field, Scope

READINGS = (
    Call(
        "nvmlDeviceGetBAR1MemoryInfo",
        (
            Field("DCGM_FI_DEV_BAR1_TOTAL", mib_of("bar1Total")),
            Field("DCGM_FI_DEV_BAR1_USED", mib_of("bar1Used", "bar1Total")),
            Field("DCGM_FI_DEV_BAR1_FREE", mib_of("bar1Free", "bar1Total")),
            Field("DCGM_FI_DEV_BAR1_CAPACITY_BYTES", attr("bar1Total")),
            Field("DCGM_FI_DEV_BAR1_USED_BYTES", attr("bar1Used", "bar1Total")),
            Field("DCGM_FI_DEV_BAR1_FREE_BYTES", attr("bar1Free", "bar1Total")),
        ),
        scope=Scope.INSTANCE,
    ),
)

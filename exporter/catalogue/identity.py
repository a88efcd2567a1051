"""What the driver says of itself; text, so it becomes labels."""

from exporter.catalogue.convert import same
from exporter.catalogue.reading import LAYOUT, Call, Field, Scope

READINGS = (
    Call(
        "nvmlSystemGetDriverVersion",
        (Field("DCGM_FI_SYSTEM_DRIVER_VERSION", same),),
        scope=Scope.SYSTEM,
        period=LAYOUT,
    ),
    Call(
        "nvmlSystemGetNVMLVersion",
        (Field("DCGM_FI_SYSTEM_NVML_VERSION", same),),
        scope=Scope.SYSTEM,
        period=LAYOUT,
    ),
)

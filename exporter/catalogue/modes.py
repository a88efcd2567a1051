"""How an administrator has set a GPU up: compute, persistence, MIG, virtualization, confidential computing."""

from exporter.catalogue.convert import attr, first, same
from exporter.catalogue.reading import LAYOUT, SLOW, Call, Field, Scope

READINGS = (
    Call("nvmlDeviceGetComputeMode", (Field("DCGM_FI_DEV_GPU_COMPUTE_MODE", same),), period=SLOW),
    Call("nvmlDeviceGetPersistenceMode", (Field("DCGM_FI_DEV_GPU_PERSISTENCE_MODE", same),), period=SLOW),
    Call("nvmlDeviceGetMigMode", (Field("DCGM_FI_DEV_MIG_MODE", first),), period=SLOW),  # before the pending one
    Call("nvmlDeviceGetMaxMigDeviceCount", (Field("DCGM_FI_DEV_MIG_MAX_SLICES", same),), period=SLOW),
    Call("nvmlDeviceGetVirtualizationMode", (Field("DCGM_FI_DEV_GPU_VIRTUAL_MODE", same),), period=LAYOUT),
    Call(
        "nvmlSystemGetConfComputeState",
        (Field("DCGM_FI_DEV_CC_MODE", attr("ccFeature")),),
        scope=Scope.SYSTEM,
        period=SLOW,
    ),
    Call(
        "nvmlGpmQueryDeviceSupport",
        (Field("DCGM_FI_DEV_GPM_SUPPORT", attr("isSupportedDevice")),),
        period=LAYOUT,
    ),
)

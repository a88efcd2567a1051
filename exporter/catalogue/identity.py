"""Who a GPU is and what the driver says of itself. Mostly text, so it becomes labels."""

from typing import Any

from exporter.catalogue.convert import attr, same
from exporter.catalogue.reading import LAYOUT, SLOW, Call, Field, Scope
from exporter.model import Reason, Value

# As NVIDIA's tools write them; https://docs.nvidia.com/deploy/nvml-api/ has the numbers (nvmlBrandType_t).
BRANDS = (
    "Unknown",
    "Quadro",
    "Tesla",
    "NVS",
    "GRID",
    "GeForce",
    "Titan",
    "NVIDIA Virtual Applications",
    "NVIDIA Virtual PC",
    "NVIDIA Virtual Compute Server",
    "NVIDIA RTX Virtual Workstation",
    "NVIDIA Cloud Gaming",
    "Quadro RTX",
    "NVIDIA RTX",
    "NVIDIA",
    "GeForce RTX",
    "Titan RTX",
)


def brand(number: Any) -> Value | Reason:
    """Return a brand's name."""
    return BRANDS[number] if 0 <= number < len(BRANDS) else BRANDS[0]


def bus_id(info: Any) -> Value | Reason:
    """Return where on the PCI bus a GPU is."""
    text = info.busId
    return (text.decode(errors="replace") if isinstance(text, bytes) else str(text)).upper()


def capability(version: Any) -> Value | Reason:
    """Return a CUDA compute capability as DCGM packs it: the major number, then 16 bits of the minor one."""
    major, minor = version
    return int(major) << 16 | int(minor)


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
    Call(
        "nvmlSystemGetProcessName",  # DCGM, too, gives the name of the process that asks
        (Field("DCGM_FI_SYSTEM_PROCESS_NAME", same),),
        scope=Scope.PROCESS,
        period=LAYOUT,
    ),
    Call(
        "nvmlDeviceGetCount",
        (Field("DCGM_FI_SYSTEM_GPU_QUANTITY", same),),
        scope=Scope.SYSTEM,
        period=SLOW,
    ),
    Call(
        "nvmlSystemGetCudaDriverVersion_v2",
        (Field("DCGM_FI_CUDA_DRIVER_VERSION", same),),
        scope=Scope.SYSTEM,
        period=LAYOUT,
    ),
    Call("nvmlDeviceGetName", (Field("DCGM_FI_DEV_GPU_NAME", same),), scope=Scope.INSTANCE, period=LAYOUT),
    Call("nvmlDeviceGetBrand", (Field("DCGM_FI_DEV_GPU_BRAND", brand),), period=LAYOUT),
    Call("nvmlDeviceGetIndex", (Field("DCGM_FI_DEV_NVML_INDEX", same),), period=LAYOUT),
    Call("nvmlDeviceGetSerial", (Field("DCGM_FI_DEV_BOARD_SERIAL", same),), period=LAYOUT),
    Call(
        "nvmlDeviceGetUUID",
        (
            Field("DCGM_FI_DEV_GPU_UUID", same),
            Field("DCGM_FI_CUDA_GPU_VISIBLE_DEVICES", same),  # what CUDA_VISIBLE_DEVICES takes
        ),
        scope=Scope.INSTANCE,
        period=LAYOUT,
    ),
    Call("nvmlDeviceGetMinorNumber", (Field("DCGM_FI_DEV_GPU_MINOR_NUMBER", same),), period=LAYOUT),
    Call(
        "nvmlDeviceGetPciInfo",
        (
            Field("DCGM_FI_DEV_PCI_BUS_ID", bus_id),
            Field("DCGM_FI_DEV_PCI_COMBINED_ID", attr("pciDeviceId")),
            Field("DCGM_FI_DEV_PCI_SUBSYS_ID", attr("pciSubSystemId")),
        ),
        period=LAYOUT,
    ),
    Call(
        "nvmlDeviceGetCudaComputeCapability",
        (Field("DCGM_FI_CUDA_GPU_COMPUTE_CAPABILITY", capability),),
        period=LAYOUT,
    ),
    Call("nvmlDeviceGetVbiosVersion", (Field("DCGM_FI_DEV_VBIOS_VERSION", same),), period=LAYOUT),
)

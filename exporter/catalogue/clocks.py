"""Clocks, in MHz and in hertz: present, greatest and those that applications are given; and what holds them down."""

from pynvml import NVML_CLOCK_GRAPHICS, NVML_CLOCK_MEM, NVML_CLOCK_SM, NVML_CLOCK_VIDEO

from exporter.catalogue.convert import first, mega, same
from exporter.catalogue.reading import COLLECTION, SLOW, Call, Field, Version


def _clock(function: str, clock: int, mhz: str, hertz: str, period: float = COLLECTION) -> Call:
    return Call(function, (Field(mhz, same), Field(hertz, mega)), args=(clock,), period=period)


CURRENT_REASONS = Call(
    "nvmlDeviceGetCurrentClocksEventReasons",
    (Field("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", same),),
    older=(Version("nvmlDeviceGetCurrentClocksThrottleReasons"),),
)
"""What holds the clocks down, as a mask."""

NOW, MAX, APP = "nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetApplicationsClock"

READINGS = (
    _clock(NOW, NVML_CLOCK_SM, "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ"),
    _clock(NOW, NVML_CLOCK_MEM, "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ"),
    _clock(NOW, NVML_CLOCK_VIDEO, "DCGM_FI_DEV_VIDEO_CLOCK", "DCGM_FI_DEV_VIDEO_CLOCK_HERTZ"),
    # 1.3 to 1.8 ms each on an H200
    _clock(APP, NVML_CLOCK_GRAPHICS, "DCGM_FI_DEV_APP_SM_CLOCK", "DCGM_FI_DEV_SM_APP_CLOCK_HERTZ", SLOW),
    _clock(APP, NVML_CLOCK_MEM, "DCGM_FI_DEV_APP_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_APP_CLOCK_HERTZ", SLOW),
    _clock(MAX, NVML_CLOCK_SM, "DCGM_FI_DEV_MAX_SM_CLOCK", "DCGM_FI_DEV_SM_MAX_CLOCK_HERTZ", SLOW),
    _clock(MAX, NVML_CLOCK_MEM, "DCGM_FI_DEV_MAX_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_MAX_CLOCK_HERTZ", SLOW),
    _clock(MAX, NVML_CLOCK_VIDEO, "DCGM_FI_DEV_MAX_VIDEO_CLOCK", "DCGM_FI_DEV_VIDEO_MAX_CLOCK_HERTZ", SLOW),
    CURRENT_REASONS,
    Call(
        "nvmlDeviceGetAutoBoostedClocksEnabled",
        (Field("DCGM_FI_DEV_CLOCKS_AUTOBOOST_MODE", first),),
        period=SLOW,
    ),
    Call("nvmlDeviceGetPerformanceState", (Field("DCGM_FI_DEV_GPU_PSTATE", same),)),
)

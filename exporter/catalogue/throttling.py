"""For how long clocks have been held down, and by what, since the driver was loaded. 4 to 6 ms for all on an H200."""

import pynvml

from exporter.catalogue.convert import of_number, same
from exporter.catalogue.reading import SLOW, Field, FieldValue

nano = of_number(lambda number: number / 1e9)
"""Convert thousand millionths to units: ns to s."""


def _time(name: str, *fields: Field) -> FieldValue:
    return FieldValue(getattr(pynvml, f"NVML_FI_DEV_{name}"), fields, period=SLOW, accumulates=True)


READINGS = (
    _time(
        "PERF_POLICY_POWER",
        Field("DCGM_FI_DEV_POWER_VIOLATION", same),
        Field("DCGM_FI_DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL", nano),
    ),
    _time(
        "PERF_POLICY_THERMAL",
        Field("DCGM_FI_DEV_THERMAL_VIOLATION", same),
        Field("DCGM_FI_DEV_GPU_THERMAL_THROTTLE_SECONDS_TOTAL", nano),
    ),
    _time("PERF_POLICY_SYNC_BOOST", Field("DCGM_FI_DEV_SYNC_BOOST_VIOLATION", same)),
    _time("PERF_POLICY_BOARD_LIMIT", Field("DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", same)),
    _time("PERF_POLICY_LOW_UTILIZATION", Field("DCGM_FI_DEV_LOW_UTIL_VIOLATION", same)),
    _time("PERF_POLICY_RELIABILITY", Field("DCGM_FI_DEV_RELIABILITY_VIOLATION", same)),
    _time("PERF_POLICY_TOTAL_APP_CLOCKS", Field("DCGM_FI_DEV_TOTAL_APP_CLOCKS_VIOLATION", same)),
    _time("PERF_POLICY_TOTAL_BASE_CLOCKS", Field("DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION", same)),
    *(
        _time(f"CLOCKS_EVENT_REASON_{reason}", Field(f"DCGM_FI_DEV_CLOCKS_EVENT_REASON_{reason}_NS", same))
        for reason in (
            "SW_POWER_CAP",
            "SYNC_BOOST",
            "SW_THERM_SLOWDOWN",
            "HW_THERM_SLOWDOWN",
            "HW_POWER_BRAKE_SLOWDOWN",
        )
    ),
)

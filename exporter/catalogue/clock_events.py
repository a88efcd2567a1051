"""Clock events: how often each reason that holds clocks down was there within a window, and how often it began."""

from typing import Any

import pynvml

from exporter.catalogue.convert import attr
from exporter.catalogue.reading import Field, Reading, Tracked, Tracker
from exporter.model import Labels

WINDOW_MS = 300_000
"""The default window of DCGM_EXP_CLOCK_EVENTS_COUNT."""

REASON_NAMES = {
    pynvml.nvmlClocksEventReasonGpuIdle: "gpu_idle",
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: "clocks_setting",
    pynvml.nvmlClocksEventReasonSwPowerCap: "power_cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hw_slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "sync_boost",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "sw_thermal",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "hw_thermal",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "hw_power_brake",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display_clocks",
}
"""The reasons, by their bits, as dcgm-exporter names them."""


def _reason(tally: Any) -> Labels:
    return (("clock_event", tally.what),)


def readings(window_ms: int = WINDOW_MS) -> tuple[Reading, ...]:
    """Return the readings about clock events; `window_ms` is the window of DCGM_EXP_CLOCK_EVENTS_COUNT."""

    def within(tally: Any) -> Labels:
        window = ("window_size_in_ms", str(window_ms))
        return (("clock_event", tally.what), window) if tally.what else (window,)

    count = Field("DCGM_EXP_CLOCK_EVENTS_COUNT", attr("value"), within)
    total = Field("DCGM_EXP_CLOCK_EVENTS_TOTAL", attr("value"), _reason)
    return (
        Tracked(Tracker.CLOCK_EVENTS, (window_ms,), (count,)),
        Tracked(Tracker.CLOCK_EVENTS, (), (total,)),
    )

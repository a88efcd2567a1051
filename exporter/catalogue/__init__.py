"""All readings the exporter knows: one module per subject, each a table of declarations."""

from math import ceil

from exporter.catalogue import (
    affinity,
    bar1,
    busy_seconds,
    c2c,
    clock_events,
    clocks,
    driver_events,
    ecc,
    fabric,
    framebuffer,
    health,
    identity,
    inforom,
    memory_repair,
    modes,
    nvlink,
    nvlink_5,
    nvlink_errors,
    nvlink_registers,
    pcie,
    peers,
    power,
    power_smoothing,
    profiling,
    temperature,
    throttling,
    utilization,
    vgpu,
    xids,
)
from exporter.catalogue.reading import Reading
from exporter.counters import Counter
from exporter.fields import FIELDS


def catalogue(
    *,
    mean_gpu_util: bool = False,
    xid_window_ms: int = xids.WINDOW_MS,
    xid_reset_after_s: float = 0,
    clock_window_ms: int = clock_events.WINDOW_MS,
) -> tuple[Reading, ...]:
    """Return every reading, in the order of DCGM's field ids where one can be told.

    Args:
        mean_gpu_util: Whether the GPU's utilization is a mean.
        xid_window_ms: Over how many milliseconds Xids are counted.
        xid_reset_after_s: After how many seconds without an Xid the last one is 0 again; 0 for never.
        clock_window_ms: Over how many milliseconds clock events are counted.
    """
    return (
        *identity.READINGS,
        *modes.READINGS,
        *affinity.READINGS,
        *inforom.READINGS,
        *clocks.READINGS,
        *clock_events.readings(clock_window_ms),
        *temperature.READINGS,
        *power.READINGS,
        *fabric.READINGS,
        *pcie.READINGS,
        *utilization.readings(mean_gpu_util=mean_gpu_util),
        *throttling.READINGS,
        *xids.readings(xid_window_ms, ceil(xid_reset_after_s * 1000)),  # 0 is never, but no short time is
        *driver_events.READINGS,
        *framebuffer.READINGS,
        *bar1.READINGS,
        *c2c.READINGS,
        *ecc.READINGS,
        *memory_repair.READINGS,
        *nvlink.READINGS,
        *nvlink_errors.READINGS,
        *nvlink_5.READINGS,
        *nvlink_registers.READINGS,
        *peers.READINGS,
        *power_smoothing.READINGS,
        *vgpu.READINGS,
        *profiling.READINGS,
        *busy_seconds.READINGS,
        *health.READINGS,  # behind all that it is made of
    )


CATALOGUE = catalogue()
"""Every reading, with default settings."""

OWN_SERIES: tuple[Counter, ...] = (xids.LISTENING_SINCE, xids.LAST_SEEN, driver_events.EVENTS_TOTAL)
"""Series under this exporter's own names, which no counters file asks for."""

ANSWERED: frozenset[str] = frozenset(
    field.name for reading in CATALOGUE for field in reading.fields if field.name in FIELDS
)
"""Canonical names of all fields that some reading answers."""

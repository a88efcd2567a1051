"""All readings the exporter knows: one module a subject, each a table of declarations."""

from exporter.catalogue import (
    affinity,
    bar1,
    c2c,
    clocks,
    ecc,
    fabric,
    framebuffer,
    identity,
    inforom,
    memory_repair,
    modes,
    nvlink,
    nvlink_5,
    nvlink_errors,
    nvlink_registers,
    pcie,
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

CATALOGUE: tuple[Reading, ...] = (
    *identity.READINGS,
    *modes.READINGS,
    *affinity.READINGS,
    *inforom.READINGS,
    *clocks.READINGS,
    *temperature.READINGS,
    *power.READINGS,
    *fabric.READINGS,
    *pcie.READINGS,
    *utilization.READINGS,
    *throttling.READINGS,
    *xids.READINGS,
    *framebuffer.READINGS,
    *bar1.READINGS,
    *c2c.READINGS,
    *ecc.READINGS,
    *memory_repair.READINGS,
    *nvlink.READINGS,
    *nvlink_errors.READINGS,
    *nvlink_5.READINGS,
    *nvlink_registers.READINGS,
    *power_smoothing.READINGS,
    *vgpu.READINGS,
    *profiling.READINGS,
)
"""Every reading, in the order of DCGM's field ids where one can be told."""

OWN_SERIES: tuple[Counter, ...] = (xids.LISTENING_SINCE,)
"""Series under this exporter's own names, which come with the readings that they explain."""

ANSWERED: frozenset[str] = frozenset(
    field.name for reading in CATALOGUE for field in reading.fields if not field.accompanies
)
"""Canonical names of all fields that some reading answers."""

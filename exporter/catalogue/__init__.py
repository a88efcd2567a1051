"""All readings the exporter knows: one module a subject, each a table of declarations."""

from exporter.catalogue import (
    affinity,
    bar1,
    busy_seconds,
    c2c,
    clocks,
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
    *peers.READINGS,
    *power_smoothing.READINGS,
    *vgpu.READINGS,
    *profiling.READINGS,
    *busy_seconds.READINGS,
    *health.READINGS,  # behind all that it is made of
)
"""Every reading, in the order of DCGM's field ids where one can be told."""

MEAN_GPU_UTIL_CATALOGUE: tuple[Reading, ...] = tuple(
    utilization.MEAN_GPU_UTIL if reading is utilization.GPU_UTIL else reading for reading in CATALOGUE
)
"""The same, but the GPU's utilization is a mean."""

OWN_SERIES: tuple[Counter, ...] = (xids.LISTENING_SINCE,)
"""Series under this exporter's own names, which come with the readings that they explain."""

ANSWERED: frozenset[str] = frozenset(
    field.name for reading in CATALOGUE for field in reading.fields if field.name in FIELDS
)
"""Canonical names of all fields that some reading answers."""

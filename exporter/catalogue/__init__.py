"""All readings the exporter knows: one module a subject, each a table of declarations."""

from exporter.catalogue import (
    clocks,
    framebuffer,
    identity,
    nvlink,
    pcie,
    power,
    profiling,
    row_remap,
    temperature,
    utilization,
    vgpu,
    xids,
)
from exporter.catalogue.reading import Reading
from exporter.counters import Counter

CATALOGUE: tuple[Reading, ...] = (
    *identity.READINGS,
    *clocks.READINGS,
    *temperature.READINGS,
    *power.READINGS,
    *pcie.READINGS,
    *utilization.READINGS,
    *xids.READINGS,
    *framebuffer.READINGS,
    *row_remap.READINGS,
    *nvlink.READINGS,
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

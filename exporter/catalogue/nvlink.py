"""NVLink throughput, over all links and of each: NVML counts KiB, so a rate is the difference of two readings."""

from collections.abc import Iterator

from pynvml import NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX as RX
from pynvml import NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX as TX

from exporter.catalogue.convert import kib_as_bytes, kib_as_thousands
from exporter.catalogue.reading import ALL_LINKS, LINKS, SLOW, UNHURRIED, Field, Scope, Tracked, Tracker


def _of_link(link: int) -> Iterator[Tracked]:
    """Yield the rates of one link, under names of their own; 1 ms a link and direction on an H200."""
    both = (
        Field(f"DCGM_FI_DEV_NVLINK_THROUGHPUT_L{link}", kib_as_thousands),
        Field(f"DCGM_FI_DEV_NVLINK_THROUGHPUT_L{link}_BYTES_PER_SECOND", kib_as_bytes),
    )
    yield Tracked(Tracker.RATES, (link, RX, TX), both, period=UNHURRIED)
    for way, counter in (("RX", RX), ("TX", TX)):
        field = Field(f"DCGM_FI_DEV_NVLINK_{way}_THROUGHPUT_L{link}", kib_as_thousands)
        yield Tracked(Tracker.RATES, (link, counter), (field,), period=UNHURRIED)


def _of_each_link(counters: tuple[int, ...], name: str) -> Tracked:
    fields = (Field(name, kib_as_thousands),)
    return Tracked(Tracker.RATES, (ALL_LINKS, *counters), fields, Scope.LINK, UNHURRIED)


def _of_all_links(fields: tuple[Field, ...], *counters: int) -> Tracked:
    """Return a rate of all links together; 1 ms a direction on an H200."""
    return Tracked(Tracker.RATES, (ALL_LINKS, *counters), fields, period=SLOW, accumulates=True)


READINGS = (
    _of_all_links(
        (
            Field("DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL", kib_as_thousands),
            Field("DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", kib_as_bytes),
        ),
        RX,
        TX,
    ),
    _of_all_links((Field("DCGM_FI_DEV_NVLINK_RX_THROUGHPUT_TOTAL", kib_as_thousands),), RX),
    _of_all_links((Field("DCGM_FI_DEV_NVLINK_TX_THROUGHPUT_TOTAL", kib_as_thousands),), TX),
    *(reading for link in LINKS for reading in _of_link(link)),
    _of_each_link((RX, TX), "DCGM_FI_DEV_NVLINK_THROUGHPUT_PER_LINK"),
    _of_each_link((TX,), "DCGM_FI_DEV_NVLINK_TX_THROUGHPUT_PER_LINK"),
    _of_each_link((RX,), "DCGM_FI_DEV_NVLINK_RX_THROUGHPUT_PER_LINK"),
)

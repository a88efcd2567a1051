"""NVLink throughput over all links: NVML counts KiB, so a rate is the difference of two readings."""

from pynvml import NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX as RX
from pynvml import NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX as TX

from exporter.catalogue.convert import kib_as_bytes, kib_as_thousands
from exporter.catalogue.reading import ALL_LINKS, Field, Tracked, Tracker

READINGS = (
    Tracked(
        Tracker.RATES,
        (ALL_LINKS, RX, TX),
        (
            Field("DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL", kib_as_thousands),
            Field("DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", kib_as_bytes),
        ),
    ),
    Tracked(Tracker.RATES, (ALL_LINKS, RX), (Field("DCGM_FI_DEV_NVLINK_RX_THROUGHPUT_TOTAL", kib_as_thousands),)),
    Tracked(Tracker.RATES, (ALL_LINKS, TX), (Field("DCGM_FI_DEV_NVLINK_TX_THROUGHPUT_TOTAL", kib_as_thousands),)),
)

"""Counters, error rates and error correction of NVLink 5, over all links of a GPU. NVLink 4 answers none of it."""

import pynvml

from exporter.catalogue.convert import of_number, same
from exporter.catalogue.reading import ALL_LINKS, SLOW, Field, FieldValue

COUNTERS = {
    "XMIT_PACKETS": "TX_PACKET_TOTAL",
    "XMIT_BYTES": "TX_BYTES_TOTAL",
    "RCV_PACKETS": "RX_PACKET_TOTAL",
    "RCV_BYTES": "RX_BYTES_TOTAL",
    "MALFORMED_PACKET_ERRORS": "RX_PACKET_MALFORMED_TOTAL",
    "BUFFER_OVERRUN_ERRORS": "RX_PACKET_DROPPED_TOTAL",
    "RCV_ERRORS": "RX_ERROR_TOTAL",
    "RCV_REMOTE_ERRORS": "RX_REMOTE_ERROR_TOTAL",
    "RCV_GENERAL_ERRORS": "RX_GENERAL_ERROR_TOTAL",
    "LOCAL_LINK_INTEGRITY_ERRORS": "INTEGRITY_ERROR_TOTAL",
    "XMIT_DISCARDS": "COUNT_TX_DISCARDS",
    "LINK_RECOVERY_SUCCESSFUL_EVENTS": "RECOVERY_SUCCESSFUL_TOTAL",
    "LINK_RECOVERY_FAILED_EVENTS": "RECOVERY_FAILED_TOTAL",
    "LINK_RECOVERY_EVENTS": "RECOVERY_EVENT_TOTAL",
    "SYMBOL_ERRORS": "RX_SYMBOL_ERROR_TOTAL",
    "EFFECTIVE_ERRORS": "EFFECTIVE_ERROR_TOTAL",
}
"""DCGM's names by NVML's."""

HISTORY = range(16)
"""How many symbols of a block had to be corrected."""


error_rate = of_number(lambda packed: (int(packed) >> 8 & 0xF) * 10.0 ** -(int(packed) & 0xFF))
"""Convert a packed bit error rate: the mantissa, bits 8 to 11, times 10 to minus the exponent, bits 0 to 7 (nvml.h)."""


def _count(name: str, *fields: Field) -> FieldValue:
    return FieldValue(getattr(pynvml, f"NVML_FI_DEV_NVLINK_COUNT_{name}"), fields, ALL_LINKS, period=SLOW)


READINGS = (
    *(_count(theirs, Field(f"DCGM_FI_DEV_NVLINK_{name}", same)) for theirs, name in COUNTERS.items()),
    *(
        _count(
            f"{kind}_BER",
            Field(f"DCGM_FI_DEV_NVLINK_{kind}_BER_RAW", same),
            Field(f"DCGM_FI_DEV_NVLINK_{kind}_BER_RATIO", error_rate),
        )
        for kind in ("SYMBOL", "EFFECTIVE")
    ),
    *(
        _count(f"FEC_HISTORY_{number}", Field(f"DCGM_FI_DEV_NVLINK_COUNT_FEC_HISTORY_{number}", same))
        for number in HISTORY
    ),
)

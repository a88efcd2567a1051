"""The chip-to-chip link between a GPU and its CPU, as Grace has it."""

import pynvml

from exporter.catalogue.convert import of_number, same
from exporter.catalogue.reading import SLOW, Field, FieldValue

MEGA = 1_000_000

mega_bytes = of_number(lambda number: int(number * MEGA))
"""Convert MB/s to bytes a second."""


def _value(name: str, *fields: Field) -> FieldValue:
    return FieldValue(getattr(pynvml, f"NVML_FI_DEV_C2C_LINK_{name}"), fields, period=SLOW)


READINGS = (
    _value("COUNT", Field("DCGM_FI_DEV_C2C_LINK_QUANTITY", same)),
    _value("GET_STATUS", Field("DCGM_FI_DEV_C2C_LINK_STATUS", same)),
    _value(
        "GET_MAX_BW",  # nvml.h: in MB/s, of one link
        Field("DCGM_FI_DEV_C2C_MAX_BANDWIDTH", same),
        Field("DCGM_FI_DEV_C2C_MAX_BANDWIDTH_BYTES_PER_SECOND", mega_bytes),
    ),
    _value("ERROR_INTR", Field("DCGM_FI_DEV_C2C_LINK_ERROR_INTR", same)),
    _value("ERROR_REPLAY", Field("DCGM_FI_DEV_C2C_LINK_ERROR_REPLAY", same)),
    _value("ERROR_REPLAY_B2B", Field("DCGM_FI_DEV_C2C_LINK_ERROR_REPLAY_B2B", same)),
    _value("POWER_STATE", Field("DCGM_FI_DEV_C2C_LINK_POWER_STATE", same)),
)

"""NVLink errors up to NVLink 4: by link, of each link and over all; states of links.

Hopper answers its counters by nvmlDeviceGetNvLinkErrorCounter alone, 0.7 to 1.3 ms a link, and refuses the field
values of the same names; older GPUs answer by both, Blackwell by neither (NVML's change log, release 570). What Hopper
counts as CRC errors in data and as ECC errors grows on sound links as they carry data, so that the sum of the former
is DCGM's: NVML's own, which Hopper refuses. Alerts and health go by it.
"""

from collections.abc import Iterator

import pynvml

from exporter.catalogue.convert import same
from exporter.catalogue.reading import ALL_LINKS, LINKS, SLOW, Call, Field, FieldValue, Reading, Scope

FUNCTION = "nvmlDeviceGetNvLinkErrorCounter"
COUNTERS = {
    "CRC_FLIT": pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT,
    "CRC_DATA": pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA,
    "REPLAY": pynvml.NVML_NVLINK_ERROR_DL_REPLAY,
    "RECOVERY": pynvml.NVML_NVLINK_ERROR_DL_RECOVERY,
}


def _of_links(kind: str, counter: int) -> Iterator[Reading]:
    name = f"DCGM_FI_DEV_NVLINK_{kind}_ERROR"
    for link in LINKS:
        yield Call(FUNCTION, (Field(f"{name}_L{link}_TOTAL", same),), args=(link, counter), period=SLOW)
    yield Call(FUNCTION, (Field(f"{name}_PER_LINK_TOTAL", same),), (counter,), Scope.LINK, SLOW)


def _added_up(name: str, counter: int) -> Call:
    return Call(FUNCTION, (Field(name, same),), (counter,), Scope.ALL_LINKS, SLOW)


def _sum(field_id: int, name: str) -> FieldValue:
    return FieldValue(field_id, (Field(name, same),), ALL_LINKS, period=SLOW)


READINGS: tuple[Reading, ...] = (
    *(reading for kind, counter in COUNTERS.items() for reading in _of_links(kind, counter)),
    _added_up("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_TOTAL", pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT),
    _added_up("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_TOTAL", pynvml.NVML_NVLINK_ERROR_DL_REPLAY),
    _added_up("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_TOTAL", pynvml.NVML_NVLINK_ERROR_DL_RECOVERY),
    _added_up("DCGM_FI_DEV_NVLINK_ECC_ERROR_TOTAL", pynvml.NVML_NVLINK_ERROR_DL_ECC_DATA),
    FieldValue(
        pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        (Field("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_TOTAL", same),),
        period=SLOW,
    ),
    FieldValue(
        pynvml.NVML_FI_DEV_NVLINK_GET_STATE,  # 0.4 ms a link on an H200
        (Field("DCGM_FI_DEV_NVLINK_LINK_STATUS", same),),
        scope=Scope.LINK,
        period=SLOW,
    ),
    _sum(pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC, "DCGM_FI_DEV_NVLINK_CRC_ERROR_TOTAL"),
    _sum(pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY, "DCGM_FI_DEV_NVLINK_RECOVERY_TOTAL"),
    _sum(pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, "DCGM_FI_DEV_NVLINK_REPLAY_TOTAL"),
)

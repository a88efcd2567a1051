"""Health of a GPU's parts: which values of other fields are a warning or a failure. All thresholds are here.

They are those of DCGM's health watches (its documentation, and the limits in DcgmGPUHardwareLimits.h), without what
needs a diagnosis or a week's memory, and with rows that wait to be remapped, which DCGM's diagnosis warns of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pynvml

from exporter.catalogue.convert import attr
from exporter.catalogue.reading import Field, Tracked, Tracker

WARN, FAIL = 10, 20
"""DCGM's results besides 0 for a pass."""

Rule = Callable[[Sequence[float]], bool | None]
"""Says of all values of a check's fields whether they are bad; None where they tell of nothing that could be."""

PCIE_REPLAYS_A_MINUTE = 8
NVLINK_CRC_ERRORS_A_MINUTE = 100 * 60
RETIRED_PAGES = 63
UNCORRECTABLE_REMAPPED_ROWS = 512
EFFECTIVE_BIT_ERROR_RATE = 1e-12


def above(limit: float) -> Rule:
    """Make a rule by which one value above a limit is bad."""
    return lambda values: any(value > limit for value in values)


def together_at_least(limit: float) -> Rule:
    """Make a rule by which values are bad that add up to a limit."""
    return lambda values: sum(values) >= limit


def among(*codes: int) -> Rule:
    """Make a rule by which some codes are bad."""
    return lambda values: any(value in codes for value in values)


def some_are_down(states: Sequence[float]) -> bool | None:
    """Say whether links are down while others are up; if none is up, as on a card without a bridge, none is used."""
    return 0 in states if any(states) else None


def fabric_is(*statuses: int) -> Rule:
    """Make a rule of the fabric manager's status, which is 0 where there is no fabric."""
    return lambda values: any(value in statuses for value in values) if any(values) else None


def has_bad_fabric(masks: Sequence[float]) -> bool | None:
    """Say whether a fabric's health mask has one of its four troubles, each 1 for yes, or a wrong configuration."""
    shifts = (
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW,
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY,
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY,
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY,
    )
    mask = int(masks[0])
    configuration = mask >> pynvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION & 0xF
    if not mask:
        return None
    return any(mask >> shift & 3 == 1 for shift in shifts) or configuration > 1


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that makes a watch of DCGM's bad.

    `is_bad` is asked about the newest values of the fields; with `by_growth` about their growth in the last minute.
    """

    watch: str
    result: int
    code: str
    fields: tuple[str, ...]
    is_bad: Rule
    by_growth: bool = False


def _now(watch: str, result: int, code: str, *fields: str, is_bad: Rule) -> Check:
    return Check(watch, result, f"DCGM_FR_{code}", tuple(f"DCGM_FI_DEV_{field}" for field in fields), is_bad)


def _growth(watch: str, result: int, code: str, *fields: str, above_a_minute: float = 0) -> Check:
    return replace(_now(watch, result, code, *fields, is_bad=above(above_a_minute)), by_growth=True)


_NVLINK_5 = (
    "RX_SYMBOL_ERROR",
    "RX_PACKET_MALFORMED",
    "RX_PACKET_DROPPED",
    "RX_ERROR",
    "RX_REMOTE_ERROR",
    "RX_GENERAL_ERROR",
    "INTEGRITY_ERROR",
    "RECOVERY_EVENT",
    "EFFECTIVE_ERROR",
)

CHECKS = (
    _growth("PCIE", WARN, "PCI_REPLAY_RATE", "PCIE_REPLAY_TOTAL", above_a_minute=PCIE_REPLAYS_A_MINUTE),
    _growth("NVLINK", FAIL, "NVLINK_ERROR_CRITICAL", "NVLINK_REPLAY_ERROR_TOTAL", "NVLINK_RECOVERY_ERROR_TOTAL"),
    _growth(
        "NVLINK",
        FAIL,
        "NVLINK_CRC_ERROR_THRESHOLD",
        "NVLINK_CRC_FLIT_ERROR_TOTAL",
        "NVLINK_CRC_DATA_ERROR_TOTAL",
        above_a_minute=NVLINK_CRC_ERRORS_A_MINUTE,
    ),
    _growth("NVLINK", WARN, "NVLINK_ERROR_THRESHOLD", "NVLINK_CRC_FLIT_ERROR_TOTAL", "NVLINK_CRC_DATA_ERROR_TOTAL"),
    _growth(
        "NVLINK",
        FAIL,
        "NVLINK_ERROR_CRITICAL",
        *(f"NVLINK_{name}_TOTAL" for name in _NVLINK_5),
    ),
    _now(
        "NVLINK",
        FAIL,
        "NVLINK_EFFECTIVE_BER_THRESHOLD",
        "NVLINK_EFFECTIVE_BER_RATIO",
        is_bad=above(EFFECTIVE_BIT_ERROR_RATE * 1.01),  # a ratio of 1e-12 itself passes, however it was rounded
    ),
    _now("NVLINK", FAIL, "NVLINK_DOWN", "NVLINK_LINK_STATUS", is_bad=some_are_down),
    _now("NVLINK", FAIL, "FIELD_VIOLATION", "FABRIC_HEALTH_MASK", is_bad=has_bad_fabric),
    _now("NVLINK", FAIL, "FABRIC_PROBE_STATE", "FABRIC_MANAGER_STATUS", is_bad=fabric_is(1, 4, 5)),
    _now("NVLINK", WARN, "FABRIC_PROBE_STATE", "FABRIC_MANAGER_STATUS", is_bad=fabric_is(2)),
    _now("MEM", FAIL, "VOLATILE_DBE_DETECTED", "ECC_DBE_VOL_TOTAL", is_bad=above(0)),
    _now(
        "MEM",
        FAIL,
        "RETIRED_PAGES_LIMIT",
        "PAGE_RETIRED_SBE_TOTAL",
        "PAGE_RETIRED_DBE_TOTAL",
        is_bad=together_at_least(RETIRED_PAGES),
    ),
    _now("MEM", FAIL, "ROW_REMAP_FAILURE", "ROW_REMAP_FAILED", is_bad=above(0)),
    _now("MEM", FAIL, "FAULTY_MEMORY", "MEMORY_UNREPAIRABLE", is_bad=above(0)),
    _now("MEM", WARN, "PENDING_PAGE_RETIREMENTS", "PAGE_RETIRED_PENDING", is_bad=above(0)),
    _now("MEM", WARN, "PENDING_ROW_REMAP", "ROW_REMAP_PENDING", is_bad=above(0)),
    _now(
        "MEM",
        WARN,
        "UNCORRECTABLE_ROW_REMAP_LIMIT",
        "ROW_REMAP_UNCORRECTABLE_TOTAL",
        is_bad=together_at_least(UNCORRECTABLE_REMAPPED_ROWS),
    ),
    _now("INFOROM", WARN, "CORRUPT_INFOROM", "INFOROM_VALID", is_bad=among(0)),
    _growth("THERMAL", WARN, "CLOCK_THROTTLE_THERMAL", "THERMAL_VIOLATION"),
    _growth("POWER", WARN, "CLOCK_THROTTLE_POWER", "POWER_VIOLATION"),
    _now(
        "DRIVER",
        FAIL,
        "GPU_RECOVERY_RESET",
        "GPU_RECOVERY_ACTION",
        is_bad=among(pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET, pynvml.NVML_GPU_RECOVERY_ACTION_BUS_RESET),
    ),
    _now(
        "DRIVER",
        FAIL,
        "GPU_RECOVERY_REBOOT",
        "GPU_RECOVERY_ACTION",
        is_bad=among(pynvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT, pynvml.NVML_GPU_RECOVERY_ACTION_SYSTEM_REBOOT),
    ),
    _now(
        "DRIVER",
        FAIL,
        "GPU_RECOVERY_DRAIN_RESET",
        "GPU_RECOVERY_ACTION",
        is_bad=among(pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET),
    ),
    _now(
        "DRIVER",
        WARN,
        "GPU_RECOVERY_DRAIN_P2P",
        "GPU_RECOVERY_ACTION",
        is_bad=among(pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_P2P),
    ),
    # Xids that NVIDIA holds to be the whole GPU's; those of single programs are none. All that were heard count, until
    # the last one is 0 again: what follows a bad one, as 45 and 154 do, says nothing better
    _now("ALL", FAIL, "FALLEN_OFF_BUS", "XID_ERROR", is_bad=among(79)),
    _now("ALL", FAIL, "UNCONTAINED_ERROR", "XID_ERROR", is_bad=among(95)),
    _now("ALL", FAIL, "XID_ERROR", "XID_ERROR", is_bad=among(48, 74, 119, 120, 140)),
    _now("ALL", WARN, "CONTAINED_ERROR", "XID_ERROR", is_bad=among(94)),
)
"""In each watch, of two that are equally bad the first one is told."""

LAST_XID, HEARD_XIDS = "DCGM_FI_DEV_XID_ERROR", "DCGM_EXP_XID_ERRORS_TOTAL"
"""The field of the newest Xid, and that which has the codes of all as labels."""

READINGS = (
    Tracked(
        Tracker.HEALTH,
        (),
        (
            Field(
                "DCGM_EXP_GPU_HEALTH_STATUS",
                attr("result"),
                lambda verdict: (("health_watch", verdict.watch), ("health_error_code", verdict.code)),
            ),
        ),
        inputs=(*dict.fromkeys(name for check in CHECKS for name in check.fields), HEARD_XIDS),
    ),
)

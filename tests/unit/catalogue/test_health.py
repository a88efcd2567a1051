from pathlib import Path

import pytest

from exporter.catalogue import CATALOGUE
from exporter.catalogue.health import CHECKS, FAIL, READINGS, WARN, Check
from exporter.fields import FIELDS


def check(code: str, field: str) -> Check:
    (found,) = (c for c in CHECKS if c.code == f"DCGM_FR_{code}" and f"DCGM_FI_DEV_{field}" in c.fields)
    return found


# What a value, or a counter's growth in a minute, is just not and just.
THRESHOLDS = [
    ("PCI_REPLAY_RATE", "PCIE_REPLAY_TOTAL", 8, 9, WARN),
    ("NVLINK_ERROR_CRITICAL", "NVLINK_REPLAY_ERROR_TOTAL", 0, 1, FAIL),
    ("NVLINK_ERROR_CRITICAL", "NVLINK_RX_SYMBOL_ERROR_TOTAL", 0, 1, FAIL),
    ("NVLINK_CRC_ERROR_THRESHOLD", "NVLINK_CRC_FLIT_ERROR_TOTAL", 6000, 6001, FAIL),
    ("NVLINK_ERROR_THRESHOLD", "NVLINK_CRC_FLIT_ERROR_TOTAL", 0, 1, WARN),
    ("NVLINK_EFFECTIVE_BER_THRESHOLD", "NVLINK_EFFECTIVE_BER_RATIO", 10 * 10.0**-13, 2 * 10.0**-12, FAIL),
    ("NVLINK_EFFECTIVE_BER_THRESHOLD", "NVLINK_EFFECTIVE_BER_RATIO", 15 * 10.0**-255, 11 * 10.0**-13, FAIL),
    ("VOLATILE_DBE_DETECTED", "ECC_DBE_VOL_TOTAL", 0, 1, FAIL),
    ("RETIRED_PAGES_LIMIT", "PAGE_RETIRED_DBE_TOTAL", 62, 63, FAIL),
    ("ROW_REMAP_FAILURE", "ROW_REMAP_FAILED", 0, 1, FAIL),
    ("FAULTY_MEMORY", "MEMORY_UNREPAIRABLE", 0, 1, FAIL),
    ("PENDING_PAGE_RETIREMENTS", "PAGE_RETIRED_PENDING", 0, 1, WARN),
    ("PENDING_ROW_REMAP", "ROW_REMAP_PENDING", 0, 1, WARN),
    ("UNCORRECTABLE_ROW_REMAP_LIMIT", "ROW_REMAP_UNCORRECTABLE_TOTAL", 511, 512, WARN),
    ("CORRUPT_INFOROM", "INFOROM_VALID", 1, 0, WARN),
    ("CLOCK_THROTTLE_THERMAL", "THERMAL_VIOLATION", 0, 1, WARN),
    ("CLOCK_THROTTLE_POWER", "POWER_VIOLATION", 0, 1, WARN),
    ("GPU_RECOVERY_RESET", "GPU_RECOVERY_ACTION", 0, 1, FAIL),
    ("GPU_RECOVERY_REBOOT", "GPU_RECOVERY_ACTION", 1, 2, FAIL),
    ("GPU_RECOVERY_DRAIN_P2P", "GPU_RECOVERY_ACTION", 2, 3, WARN),
    ("GPU_RECOVERY_DRAIN_RESET", "GPU_RECOVERY_ACTION", 3, 4, FAIL),
    ("FALLEN_OFF_BUS", "XID_ERROR", 31, 79, FAIL),
    ("UNCONTAINED_ERROR", "XID_ERROR", 0, 95, FAIL),
    ("CONTAINED_ERROR", "XID_ERROR", 13, 94, WARN),
    ("XID_ERROR", "XID_ERROR", 43, 48, FAIL),
]


@pytest.mark.parametrize(("code", "field", "good", "bad", "result"), THRESHOLDS)
def test_each_threshold_is_nvidias(code: str, field: str, good: float, bad: float, result: int) -> None:
    found = check(code, field)
    assert [found.is_bad([good]), found.is_bad([bad]), found.result] == [False, True, result]


def test_pages_retired_for_one_cause_and_for_the_other_count_together() -> None:
    limit = check("RETIRED_PAGES_LIMIT", "PAGE_RETIRED_SBE_TOTAL")
    assert [limit.is_bad([31, 31]), limit.is_bad([31, 32])] == [False, True]


def test_a_link_is_down_where_others_are_up_and_where_none_is_there_is_no_nvlink_to_speak_of() -> None:
    down = check("NVLINK_DOWN", "NVLINK_LINK_STATUS")
    assert [down.is_bad(states) for states in ([1, 1], [1, 0], [0, 0])] == [False, True, None]


def test_a_fabric_is_bad_by_its_manager_or_its_mask_and_says_nothing_where_there_is_none() -> None:
    by_status = [c for c in CHECKS if c.code == "DCGM_FR_FABRIC_PROBE_STATE"]
    found = [[c.is_bad([status]) for c in by_status] for status in range(6)]
    assert found == [[None, None], [True, False], [False, True], [False, False], [True, False], [True, False]]
    mask = check("FIELD_VIOLATION", "FABRIC_HEALTH_MASK")
    no, yes = 2, 1
    assert mask.is_bad([0]) is None
    assert mask.is_bad([no | no << 2 | no << 4 | no << 6 | 1 << 8]) is False
    assert all(mask.is_bad([yes << shift]) for shift in (0, 2, 4, 6))
    assert mask.is_bad([5 << 8]) is True


def test_every_check_is_of_fields_that_another_reading_answers() -> None:
    answered = {field.name for reading in CATALOGUE for field in reading.fields}
    assert {name for c in CHECKS for name in c.fields} <= answered & FIELDS.keys()
    assert CATALOGUE[-1] is READINGS[-1], "what it is made of is read before"


def test_the_documentation_lists_every_check_in_order() -> None:
    text = (Path(__file__).parents[3] / "docs/health.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| `")]
    listed = dict.fromkeys((check.watch, str(check.result), check.code) for check in CHECKS)
    assert [tuple(cell.strip(" `") for cell in row) for row in cells] == list(listed)

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue.units import NOT_AVAILABLE, RANGES, checked, number_of, unit_of
from exporter.fields import FIELDS
from exporter.model import Reason

NUMBERS = st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.floats())
BLANKS_OF_DCGM = (0x7FFFFFF0, 0x7FFFFFF1, 0x7FFFFFF2, 0x7FFFFFF3, 0x7FFFFFFFFFFFFFF0, 0x7FFFFFFFFFFFFFF3)
ALL_ONES = ((1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("field", "possible", "impossible"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", (0, 100), (-1, 101, 686_103, 808_334_905, 4_294_967_295)),
        ("DCGM_FI_DEV_GPU_UTIL_RATIO", (0.0, 0.5, 1.0), (-0.01, 1.02, 42_949_672.95)),
        ("DCGM_FI_PROF_DRAM_UTIL_RATIO", (0.0, 1.0), (1.4, -1e-9, 1e300)),
        ("DCGM_FI_DEV_FAN_SPEED", (0, 100, 110), (201, 4_294_967_295)),
        ("DCGM_FI_DEV_GPU_TEMP_CELSIUS", (-40, -1, 0, 105), (201, 65_535, -300)),
        ("DCGM_FI_DEV_BOARD_POWER_WATTS", (0.0, 1_200.0), (-0.5, 10_001.0, 4_294_967.295)),
        ("DCGM_FI_DEV_SM_CLOCK", (0, 14_001), (50_001, -1)),
        ("DCGM_FI_DEV_SM_CLOCK_HERTZ", (14_001_000_000,), (808_334_905_000_000,)),
        ("DCGM_FI_DEV_FB_TOTAL", (0, 288_000), (1 << 40,)),
        ("DCGM_FI_DEV_FB_CAPACITY_BYTES", (288 << 30,), (1 << 50,)),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", (0, 10**15), (-1, 10**17)),
        ("DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL", (0, 3_600_000), (10**9, -5)),
        ("DCGM_FI_PROF_PCIE_TX_BYTES", (0, 10**12), (10**15,)),
        ("DCGM_FI_DEV_POWER_VIOLATION", (0, 10**17), (10**19,)),
        ("DCGM_FI_DEV_GPU_PSTATE", (0, 15), (32,)),
        ("DCGM_FI_DEV_PCIE_REPLAY_TOTAL", (0, 65_535, 1 << 40), (-1,)),
        ("DCGM_FI_DEV_XID_ERROR", (0, 79), (-1,)),
        ("gpu_exporter_some_ratio", (0.5,), (7.0,)),
        ("gpu_exporter_some_seconds", (1.8e9,), (-1.0, 1e11)),
    ],
)
def test_a_value_is_one_that_its_unit_allows(
    field: str, possible: tuple[float, ...], impossible: tuple[float, ...]
) -> None:
    assert [checked(field, value) for value in possible] == list(possible)
    assert {checked(field, value) for value in impossible} == {Reason.OUT_OF_RANGE}


@pytest.mark.parametrize("number", [*BLANKS_OF_DCGM, *ALL_ONES])
def test_what_drivers_write_for_not_available_is_no_value_of_any_unit_but_of_masks(number: int) -> None:
    fields = {unit_of(name): name for name in FIELDS if unit_of(name)}
    assert fields.keys() == RANGES.keys()
    for unit, field in fields.items():
        assert checked(field, number) == (number if unit == "bits" else Reason.OUT_OF_RANGE)
    assert checked("gpu_exporter_whatever", number) is Reason.OUT_OF_RANGE
    assert number_of(number) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value_of_any_field(number: float) -> None:
    for field in (*FIELDS, "gpu_exporter_whatever", "gpu_exporter_some_seconds"):
        assert isinstance(checked(field, number), Reason)
    assert checked("DCGM_FI_DEV_GPU_UTIL", number) is Reason.NOT_A_NUMBER


def test_a_mean_that_rounding_lifts_above_full_load_is_full_load() -> None:
    assert checked("DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", 1.0004) == 1
    assert checked("DCGM_FI_DEV_BOARD_POWER_WATTS", 10_000.1) is Reason.OUT_OF_RANGE


def test_text_is_a_value_where_text_is_due_and_nowhere_else() -> None:
    assert checked("DCGM_FI_SYSTEM_DRIVER_VERSION", "580.159.04") == "580.159.04"
    assert checked("DCGM_FI_DEV_SM_CLOCK", "[N/A]") is Reason.NOT_A_NUMBER


@given(field=st.sampled_from(sorted(FIELDS)), number=NUMBERS)
def test_no_value_leaves_its_range_whatever_the_driver_answers(field: str, number: float) -> None:
    value = checked(field, number)
    if isinstance(value, Reason):
        return
    assert isinstance(value, int | float)
    assert math.isfinite(value)
    if unit_of(field):
        low, high = RANGES[unit_of(field)]
        assert low <= value <= high
    if unit_of(field) != "bits":
        assert value not in NOT_AVAILABLE


def test_every_number_of_dcgms_has_a_unit_and_no_text_has_one() -> None:
    is_text = {name: field.value_type in {"string", "binary"} for name, field in FIELDS.items()}
    assert [name for name, field in FIELDS.items() if bool(field.unit) == is_text[name]] == []

"""Both generations of DCGM's names from the same readings: a name has one unit, whatever the other one has."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from exporter import fields
from tests.golden.memory_scrape import Setup, counters_of, scrape
from tests.golden.series import Series, of_dcgm
from tests.unit.mock_machines import scenario

MIB = 1 << 20

# Values that differ from each other and are not 0, so that nothing can stand in for anything else.
MACHINE = scenario("""
gpus:
  - profile: h100-sxm
    load: 50
    nvlink: true
    values:
      sm_clock_mhz: 1411
      memory_clock_mhz: 2619
      gpu_temperature_c: 61
      memory_temperature_c: 53
      encoder_utilization_percent: 31
      decoder_utilization_percent: 42
      memory_utilization_percent: 23
      pcie_replay_count: 7
      remapped_rows_uncorrectable: 3
      remapped_rows_correctable: 4
      remapped_rows_failure: 1
    faults: [{kind: xid, at_s: 0.5, code: 31}]
""")
FILES = ("default-counters.csv", "dcgm-4.9-counters.csv")
SETUP = Setup(counters=counters_of(*FILES))


class Renamed(NamedTuple):
    """A field that both generations have; `old_of` makes the older value of the newer one."""

    old: str
    new: str
    old_of: Callable[[float], float] = float


def whole_percent(ratio: float) -> float:
    return round(ratio * 100)


def whole_mhz(hertz: float) -> float:
    return hertz / 1e6


def whole_mib(size_bytes: float) -> float:
    return size_bytes // MIB


def thousands_of_kib(bytes_per_s: float) -> float:
    return bytes_per_s // 1024 // 1000


RENAMED = (
    Renamed("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ", whole_mhz),
    Renamed("DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ", whole_mhz),
    Renamed("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS"),
    Renamed("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS"),
    Renamed("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS"),
    Renamed("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO", whole_percent),
    Renamed("DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_MEMORY_UTIL_RATIO", whole_percent),
    Renamed("DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_ENC_UTIL_RATIO", whole_percent),
    Renamed("DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DEV_DEC_UTIL_RATIO", whole_percent),
    Renamed("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_BYTES", whole_mib),
    Renamed("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_FREE_BYTES", whole_mib),
    Renamed("DCGM_FI_DEV_FB_RESERVED", "DCGM_FI_DEV_FB_RESERVED_BYTES", whole_mib),
    Renamed("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"),
    Renamed("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO"),
    Renamed("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO"),
    Renamed("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_PCIE_REPLAY_TOTAL"),
    Renamed("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", thousands_of_kib),
    Renamed("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR"),
    Renamed("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL"),
    Renamed("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL"),
    Renamed("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED"),
)


@pytest.fixture(scope="module")
def page() -> dict[str, Series]:
    """Return the series of the one GPU by name."""
    return {series.name: series for series in of_dcgm(scrape(MACHINE, 3.0, SETUP))}


@pytest.mark.parametrize("renamed", RENAMED, ids=[renamed.new for renamed in RENAMED])
def test_both_names_say_the_same_in_their_own_units(renamed: Renamed, page: dict[str, Series]) -> None:
    old, new = page[renamed.old], page[renamed.new]
    assert float(old.value) == pytest.approx(renamed.old_of(float(new.value)), rel=1e-12)
    assert float(old.value) > 0
    assert old.labels == new.labels


def test_energy_in_joules_is_that_in_millijoules_rounded_down(page: dict[str, Series]) -> None:
    joules, millijoules = (
        page[name].value for name in ("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    )
    assert int(joules) == int(millijoules) // 1000 > 0


def test_framebuffer_adds_up(page: dict[str, Series]) -> None:
    parts = [int(page[f"DCGM_FI_DEV_FB_{part}_BYTES"].value) for part in ("USED", "FREE", "RESERVED")]
    assert sum(parts) == int(page["DCGM_FI_DEV_FB_CAPACITY_BYTES"].value)


def test_nvlink_throughput_is_both_directions_of_all_links(page: dict[str, Series]) -> None:
    kib_per_s = (125829120 + 104857600) / 2  # h100-sxm.yaml: all 18 links, busy; half of it at a load of 50
    assert int(page["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"].value) == int(kib_per_s / 1000)
    assert float(page["DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND"].value) == pytest.approx(
        kib_per_s * 1024, rel=1e-5
    )


def test_table_above_has_every_name_that_only_one_file_enables() -> None:
    old, new = ({counter.name for counter in counters_of(file) if counter.field in fields.FIELDS} for file in FILES)
    in_table = {name for renamed in RENAMED for name in (renamed.old, renamed.new)}
    elsewhere = {
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL",
        "DCGM_FI_DEV_FB_CAPACITY_BYTES",
        "DCGM_FI_DRIVER_VERSION",
        "DCGM_FI_SYSTEM_DRIVER_VERSION",
    }
    assert old ^ new == in_table | elsewhere

"""Every field that the recorded dcgm-exporter could print on an H100, and what people's files ask for.

The recording is of dcgm-exporter 4.5.3-4.8.2 on DCGM 4.6.0. `demand.csv` counts the names in public counters files,
dashboards and rules.
"""

import csv
from pathlib import Path

import pytest

from exporter import fields
from exporter.catalogue import ANSWERED, OWN_SERIES
from exporter.counters import Parsed, parse_counters
from exporter.counters_source import PACKAGED
from tests.golden.memory_scrape import Setup, scrape
from tests.golden.series import Series, of_dcgm, read_series
from tests.unit.mock_machines import scenario

DATA = Path(__file__).parent / "data"
RECORDED = read_series((DATA / "h100-dcgm-exporter-all-fields-idle.metrics").read_text(encoding="utf-8"))
IDLE = scenario("gpus: [{profile: h100-sxm, load: {kind: replay, recording: h100-idle}}]")

WITH_LINKS = scenario("gpus: [{profile: h100-sxm, load: 50, nvlink: true, count: 2}]")

SMOOTHING = "NVML says NOT_SUPPORTED of power smoothing on Hopper, and dcgm-exporter prints 0"
NOT_PRINTED = {
    "DCGM_FI_IMEX_DAEMON_STATUS": "of a service beside the driver, not of NVML; -1 stands for none",
    **{s.name: SMOOTHING for s in RECORDED if s.name.startswith("DCGM_FI_DEV_PWR_SMOOTHING_")},
}
"""What dcgm-exporter printed and ours does not, and why."""

NOT_ON_AN_H100 = {
    f"DCGM_FI_DEV_{name}"
    for name in (
        "FAN_SPEED",
        "RETIRED_SBE",
        "RETIRED_DBE",
        "RETIRED_PENDING",
        "AUTOBOOST",
        "POWER_INFOROM_VER",
        "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL",
    )
}
"""What NVML says NOT_SUPPORTED of on the recorded H100, the last one on H200s, and dcgm-exporter does not print."""

OF_THE_MOMENT = {
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_VIDEO_CLOCK",
    "DCGM_EXP_CLOCK_EVENTS_COUNT",
    "DCGM_FI_DEV_MEMORY_TEMP",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_TEMP_LIMIT",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_POWER_USAGE_INSTANT",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_POWER_VIOLATION",
    "DCGM_FI_DEV_LOW_UTIL_VIOLATION",
    "DCGM_FI_DEV_TOTAL_APP_CLOCKS_VIOLATION",
    "DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP_NS",
    "DCGM_FI_PROF_DRAM_ACTIVE",
    "DCGM_FI_PROF_PCIE_TX_BYTES",
    "DCGM_FI_PROF_PCIE_RX_BYTES",
}
"""What differs on one machine from one time to another; all others are equal."""


def parsed(names: list[str]) -> Parsed:
    return parse_counters("\n".join(f"{name}, gauge, Help." for name in names), "all", ANSWERED)


@pytest.fixture(scope="module")
def ours() -> dict[str, Series]:
    counters = parsed([series.name for series in RECORDED]).counters
    page = scrape(IDLE, 3.0, Setup(counters=(*counters, *OWN_SERIES)))
    return {series.name: series for series in of_dcgm(page)}


def test_every_name_that_dcgm_exporter_prints_is_printed_or_has_a_reason(ours: dict[str, Series]) -> None:
    names = {series.name for series in RECORDED}
    assert len(names) == 213
    assert names - ours.keys() == NOT_PRINTED.keys()


@pytest.mark.parametrize("theirs", [s for s in RECORDED if s.name not in NOT_PRINTED], ids=lambda series: series.name)
def test_what_does_not_change_has_the_same_value(theirs: Series, ours: dict[str, Series]) -> None:
    found = ours[theirs.name]
    if theirs.name in OF_THE_MOMENT:
        assert float(found.value) >= 0
    else:
        assert float(found.value) == float(theirs.value)
    assert ("." in theirs.value) == (not found.value.isdigit())


def test_health_is_printed_as_dcgm_exporter_does_but_where_nothing_tells_of_it() -> None:
    counters = parsed(["DCGM_EXP_GPU_HEALTH_STATUS"]).counters
    page = scrape(IDLE, 12.0, Setup(counters=counters))
    found = {series.labels["health_watch"]: series for series in of_dcgm(page)}
    theirs = {s.labels["health_watch"]: s for s in RECORDED if s.name == "DCGM_EXP_GPU_HEALTH_STATUS"}
    assert theirs.keys() - found.keys() == {"PMU", "MCU", "SM", "NVLINK"}
    for watch, series in found.items():
        assert list(series.labels) == list(theirs[watch].labels)
        assert series.labels["health_error_code"] == theirs[watch].labels["health_error_code"]
        assert series.value == theirs[watch].value


@pytest.mark.parametrize("name", ["DCGM_EXP_XID_ERRORS_COUNT", "DCGM_EXP_CLOCK_EVENTS_COUNT"])
def test_what_an_exporter_counts_has_the_recorded_labels(name: str, ours: dict[str, Series]) -> None:
    (theirs,) = (series.labels for series in RECORDED if series.name == name)
    found = ours[name].labels
    assert list(found) == [*theirs]
    assert [found.get(label) for label in ("clock_event", "window_size_in_ms")] == [
        theirs.get(label) for label in ("clock_event", "window_size_in_ms")
    ]


def demand() -> list[dict[str, str]]:
    with (DATA / "demand.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_nearly_all_uses_of_known_names_in_public_files_are_answered_on_an_h100() -> None:
    known = [row for row in demand() if fields.find(row["name"]) is not None and "NVSWITCH" not in row["name"]]
    counters = parsed([row["name"] for row in known]).counters
    page = scrape(WITH_LINKS, 3.0, Setup(counters=(*counters, *OWN_SERIES)))
    printed = {series.name for series in of_dcgm(page)} | set(read_series(page)[0].labels)
    uses = {row["name"]: int(row["files"]) for row in known if row["name"] not in NOT_ON_AN_H100}
    missing = {name: files for name, files in uses.items() if name not in printed}
    assert sum(missing.values()) <= 0.05 * sum(uses.values()), missing


@pytest.mark.parametrize("file", ["default-counters.csv", "dcp-metrics-included.csv"])
def test_a_packaged_file_with_every_row_switched_on_is_understood(file: str) -> None:
    lines = (PACKAGED / file).read_text(encoding="utf-8").split("\n")
    rows = [line.lstrip("# ") if "DCGM_" in line and "," in line else line for line in lines]
    text = "\n".join(rows)
    found = parse_counters(text, file, ANSWERED)
    assert len(found.counters) > 50
    assert [warning for warning in found.warnings if "DCGM_EXP_" not in warning] == []
    page = scrape(WITH_LINKS, 3.0, Setup(counters=found.counters))
    printed = {series.name for series in of_dcgm(page)} | set(read_series(page)[0].labels)
    wanted = {counter.name for counter in found.counters}
    assert wanted - printed == wanted & {*NOT_ON_AN_H100, "DCGM_EXP_XID_ERRORS_TOTAL"}, "no Xid has come"

import csv
from pathlib import Path

import pytest

from exporter import fields
from exporter.counters import Counter, MetricType, parse_counters
from exporter.counters_source import PACKAGED

ALL = frozenset(fields.FIELDS)
ROOT = Path(__file__).parents[2]
FILES = ("default-counters.csv", "dcp-metrics-included.csv", "1.x-compatibility-metrics.csv", "dcgm-4.9-counters.csv")
DEFAULT, DCP, OLDEST, NEWEST = FILES

Types = dict[str, str]


def table(name: str) -> list[dict[str, str]]:
    with (ROOT / "tools" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def types_in_table(column: str, state: str) -> Types:
    """Return the types of the fields that a column marks so, under the names that were usual before 4.9."""
    return {
        row["other_names"] or row["name"]: row["prometheus_type"]
        for row in table("dcgm-fields.csv")
        if row[column] == state
    }


def text_of(file_name: str) -> str:
    return (PACKAGED / file_name).read_text(encoding="utf-8")


def counters(text: str) -> tuple[Counter, ...]:
    found, warnings = parse_counters(text, "f.csv", ALL)
    assert not warnings
    return found


def enabled(file_name: str) -> Types:
    return {counter.name: counter.type for counter in counters(text_of(file_name))}


def commented(file_name: str) -> Types:
    """Return what taking the # away from each commented row gives."""
    rows = [line[2:] for line in text_of(file_name).splitlines() if line.lower().startswith("# dcgm_")]
    return {counter.name: counter.type for counter in counters("\n".join(rows))} if rows else {}


def test_these_four_files_come_with_the_program() -> None:
    assert {path.name for path in PACKAGED.glob("*.csv")} == set(FILES)


@pytest.mark.parametrize(("file_name", "column"), [(DEFAULT, "in_default_counters"), (DCP, "in_dcp_counters")])
def test_the_usual_files_enable_and_list_what_dcgm_exporters_do(file_name: str, column: str) -> None:
    assert enabled(file_name) == types_in_table(column, "enabled")
    listed = {name: kind for name, kind in commented(file_name).items() if not name.startswith("DCGM_EXP_")}
    assert listed == types_in_table(column, "commented")


def test_only_the_default_file_lists_what_exporters_make_themselves() -> None:
    made = {name for name, field in fields.FIELDS.items() if field.source == "exporter"}
    assert made <= commented(DEFAULT).keys()
    assert not made & commented(DCP).keys()


def test_the_default_file_has_the_names_that_a_real_dcgm_exporter_prints() -> None:
    # recorded from dcgm-exporter 4.8.2 on an H100; what that GPU does not answer is missing there
    assert enabled(DEFAULT).items() >= {
        ("DCGM_FI_DEV_MEMORY_TEMP", "gauge"),
        ("DCGM_FI_DEV_POWER_USAGE", "gauge"),
        ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter"),
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge"),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge"),
        ("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge"),
    }


def test_the_oldest_file_has_the_names_of_dcgm_exporter_1() -> None:
    rows = table("dcgm-1.x-names.csv")
    for read, state in ((enabled, "enabled"), (commented, "commented")):
        assert read(OLDEST) == {row["name"]: row["prometheus_type"] for row in rows if row["in_file"] == state}


def test_the_newest_file_enables_what_dcgm_exporter_4_9_does() -> None:
    rows = [row for row in table("dcgm-fields.csv") if row["in_4_9_default"] == "enabled"]
    assert enabled(NEWEST) == {row["name"]: row["prometheus_type"].removesuffix("*") for row in rows}
    assert len(rows) == 27


def test_both_generations_fit_into_one_file() -> None:
    shared = enabled(DEFAULT).keys() & enabled(NEWEST).keys()
    both = text_of(DEFAULT) + "\n".join(
        line for line in text_of(NEWEST).splitlines() if line.partition(",")[0] not in shared
    )
    assert {counter.name for counter in counters(both)} == enabled(DEFAULT).keys() | enabled(NEWEST).keys()


@pytest.mark.parametrize("file_name", FILES)
def test_every_counter_says_what_it_is_and_in_which_unit(file_name: str) -> None:
    for counter in counters(text_of(file_name)):
        assert counter.help.endswith(".")
        if counter.name.endswith("_HERTZ"):
            assert counter.help.endswith("(hertz).")
        if counter.name.endswith(("_RATIO", "_ACTIVE", "_active")):
            assert counter.help.endswith("(0 to 1).")
        if counter.name.endswith("_UTIL"):
            assert counter.help.endswith("(percent).")
        if counter.type is MetricType.LABEL:
            assert "(" not in counter.help


@pytest.mark.parametrize("file_name", FILES)
def test_dcgm_exporter_could_read_the_file_too(file_name: str) -> None:
    # it counts columns strictly and takes no quote after a space
    rows = [line for line in text_of(file_name).splitlines() if line and not line.startswith("#")]
    assert all(row.count(",") == 2 and '"' not in row for row in rows)

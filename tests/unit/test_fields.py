import csv
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import fields

ROOT = Path(__file__).parents[2]


def table(name: str) -> list[dict[str, str]]:
    with (ROOT / "tools" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_committed_module_is_what_the_generator_makes() -> None:
    made = subprocess.run([sys.executable, ROOT / "tools/generate_fields.py"], capture_output=True, check=True)
    assert made.stdout == (ROOT / "exporter/fields.py").read_bytes()


def test_every_name_of_the_table_leads_to_its_row() -> None:
    for row in table("dcgm-fields.csv"):
        for name in filter(None, (row["name"], row["other_names"])):
            field = fields.find(name)
            assert field is not None
            assert (field.id, field.name) == (int(row["field_id"]), row["name"])
            assert (field.entity, field.value_type, field.unit, field.source) == (
                row["entity"],
                row["value_type"],
                row["unit"],
                row["source"],
            )


def test_every_name_of_dcgm_exporter_1_leads_to_the_field_of_its_id() -> None:
    for row in table("dcgm-1.x-names.csv"):
        field = fields.find(row["name"])
        assert field is not None
        assert (field.id, field.name) == (int(row["field_id"]), row["field"])


@pytest.mark.parametrize(
    ("name", "field_id"),
    [
        ("DCGM_EXP_XID_ERRORS_COUNT", 9001),
        ("DCGM_EXP_CLOCK_EVENTS_COUNT", 9002),
        ("DCGM_EXP_GPU_HEALTH_STATUS", 9003),
        ("DCGM_EXP_P2P_STATUS", 9004),
        ("DCGM_EXP_XID_ERRORS_TOTAL", 9005),
        ("DCGM_EXP_CLOCK_EVENTS_TOTAL", 9006),
    ],
)
def test_what_exporters_make_themselves_has_dcgm_exporters_numbers(name: str, field_id: int) -> None:
    field = fields.find(name)
    assert field is not None
    assert (field.id, field.source) == (field_id, "exporter")


def test_a_guessed_type_is_a_type_without_its_mark() -> None:
    assert {field.prometheus_type for field in fields.FIELDS.values()} == {"gauge", "counter", "label"}
    throttled = fields.find("DCGM_FI_DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL")
    assert throttled is not None
    assert throttled.prometheus_type == "counter"


def test_ids_are_unique_and_ascending() -> None:
    ids = [field.id for field in fields.FIELDS.values()]
    assert ids == sorted(set(ids))


def test_no_name_stands_for_two_fields() -> None:
    names = [
        *(
            row["name"]
            for name in ("dcgm-fields.csv", "dcgm-1.x-names.csv", "dcgm-other-names.csv")
            for row in table(name)
        ),
        *(row["other_names"] for row in table("dcgm-fields.csv") if row["other_names"]),
    ]
    assert len(names) == len(set(names))
    assert all(fields.find(name) for name in names)
    exporter_made = {name for name in fields.FIELDS if name.startswith("DCGM_EXP_")}
    assert set(names) | exporter_made == fields.FIELDS.keys() | fields.RETIRED.keys() | fields.ALIASES.keys()


def test_what_to_take_instead_is_a_field_of_today() -> None:
    for row in table("dcgm-instead.csv"):
        assert fields.find(row["name"]) is not None
        instead = fields.find(row["instead"])
        assert instead is not None
        assert instead.name in fields.FIELDS
        assert row["instead"] in fields.INSTEAD[row["name"]]


def test_a_utilization_in_percent_and_one_as_a_ratio_are_two_fields() -> None:
    percent, ratio = fields.find("DCGM_FI_DEV_GPU_UTIL"), fields.find("DCGM_FI_DEV_GPU_UTIL_RATIO")
    assert percent is not None
    assert ratio is not None
    assert (percent.id, ratio.id) == (203, 1613)


def test_a_name_that_nobody_has_is_not_found() -> None:
    assert fields.find("DCGM_FI_DEV_GPU_TEMPERATURE") is None

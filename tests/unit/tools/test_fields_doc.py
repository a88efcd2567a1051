"""DCGM's list of fields, the catalogue and docs/fields.md agree, and no row of the list is missing in silence."""

import csv
import runpy
from pathlib import Path

import pytest

from exporter.catalogue import ANSWERED, CATALOGUE
from exporter.fields import FIELDS
from exporter.model import DeviceSnapshot
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")


def listed() -> list[dict[str, str]]:
    with (ROOT / "tools" / "dcgm-fields.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def documented(part: str) -> set[str]:
    return {line.split("`")[1] for line in part.splitlines() if line.startswith("| ") and "`" in line}


def test_document_is_the_generated_one() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "fields_doc.py"))["generate"]()
    assert "\n".join(made) + "\n" == DOCUMENT, "run make docs"


def test_every_field_that_nvml_answers_is_in_the_catalogue_and_no_other() -> None:
    nvmls = {
        row["name"]
        for row in listed()
        if row["source"].startswith("nvml") and row["value_type"] != "binary" and row["entity"] != "vgpu"
    }
    of_virtual_gpus = {"DCGM_FI_DEV_VGPU_LICENSE_STATUS"}  # the guest's own, so a GPU's
    assert nvmls | of_virtual_gpus == {name for name in ANSWERED if FIELDS[name].source != "exporter"}


def test_every_row_of_the_list_is_documented_as_answered_or_with_its_reason() -> None:
    answered, left_out = (documented(part) for part in DOCUMENT.split("## Fields that are not available"))
    assert answered == ANSWERED
    assert left_out == FIELDS.keys() - ANSWERED


@pytest.fixture(scope="module")
def snapshot() -> DeviceSnapshot:
    """Return everything that a GPU with NVLink answers."""
    clock = FakeClock()
    calls = Calls(started(scenario("gpus: [{profile: h100-sxm, load: 50, nvlink: true}]"), clock))
    layout = find_layout(calls, 0)
    assert isinstance(layout, Layout)
    sampler = Sampler(select({0: layout}, parse_devices("f"))[0], calls, Pacing(clock, 1.0), lambda _: None)
    sampler.follow(plan(ANSWERED, CATALOGUE))
    sampler.collect()
    clock.advance(1)
    return sampler.collect()


def test_values_have_the_types_that_dcgm_has(snapshot: DeviceSnapshot) -> None:
    types = {"int64": int, "double": float, "string": str}
    samples = [sample for sample in snapshot.samples if sample.field in FIELDS]
    assert len({sample.field for sample in samples}) > 390
    wrong = {s.field: s.value for s in samples if type(s.value) is not types[FIELDS[s.field].value_type]}
    assert wrong == {}


def test_what_dcgm_has_of_links_is_of_links_here(snapshot: DeviceSnapshot) -> None:
    of_links = {sample.field for sample in snapshot.samples if sample.entity.link is not None}
    known = {sample.field for sample in snapshot.samples}
    assert of_links == {name for name in known if name in FIELDS and FIELDS[name].entity == "link"}

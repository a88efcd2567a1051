"""Golden scrapes: what comes out for each recording and profile, byte for byte. `make golden` writes them anew.

The whole part of the page that the counters file asks for stands in the file. Of the exporter's own metrics only the
names of series and labels do, as comments, because their values are times.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from exporter import fields
from exporter.exposition import Format
from exporter.labels import LabelOptions
from exporter.mock import Scenario, load_scenario
from tests.golden.memory_scrape import Setup, counters_of, scrape
from tests.golden.series import of_dcgm, read_series
from tests.golden.soundness import assert_linted, assert_sound
from tests.unit.mock_machines import scenario

FOLDER = Path(__file__).parent
OWN_METRICS_BEGIN = "# HELP gpu_exporter_build_info"

BOTH_GENERATIONS = Setup(counters=counters_of("default-counters.csv", "dcgm-4.9-counters.csv"))
KUBERNETES = Setup(labels=LabelOptions(hostname="node-1", kubernetes=True))


@dataclass(frozen=True, slots=True)
class Case:
    """A machine, a moment, and how its exporter is set up."""

    machine: Scenario
    at_s: float = 3.0
    setup: Setup = field(default_factory=Setup)
    form: Format = Format.TEXT


def h100(load: str, more: str = "") -> Scenario:
    return scenario(f"gpus: [{{profile: h100-sxm, load: {load}{more}}}]")


TRACE = h100("{kind: replay, recording: h100-trace}")
LOST = scenario("""
gpus:
  - {profile: h100-sxm, load: 100, faults: [{kind: xid, at_s: 1.5, code: 31}]}
  - {profile: h100-sxm, load: 100, faults: [{kind: xid, at_s: 1.5, code: 79}, {kind: lost, at_s: 2}]}
""")

CASES = {
    "h100-sxm": Case(load_scenario("h100-sxm")),
    "h100-sxm-openmetrics": Case(load_scenario("h100-sxm"), form=Format.OPENMETRICS),
    "a100-sxm-mig": Case(load_scenario("a100-sxm")),
    "t4": Case(load_scenario("t4")),
    "h100-idle": Case(h100("{kind: replay, recording: h100-idle}")),
    "h100-busy": Case(h100("{kind: replay, recording: h100-busy}")),
    "h100-trace-idle": Case(TRACE, at_s=5.0),
    "h100-trace-matrix-product": Case(TRACE, at_s=15.0),
    "h100-trace-copy": Case(TRACE, at_s=35.0),
    "h100-trace-half-busy": Case(TRACE, at_s=50.0),
    "h100-nvlink-both-generations": Case(h100("100", ", nvlink: true"), setup=BOTH_GENERATIONS),
    "h100-kubernetes": Case(h100("50"), setup=KUBERNETES),
    "gpu-lost": Case(LOST),
}


@cache
def page_of(name: str, form: Format) -> str:
    """Return a case's page; the same whenever it is scraped, so once will do."""
    case = CASES[name]
    return scrape(case.machine, case.at_s, case.setup, form)


every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_scrape_is_the_golden_one(name: str, regenerate: bool) -> None:
    golden, case = FOLDER / f"{name}.metrics", CASES[name]
    page = without_own_values(page_of(name, case.form))
    if regenerate:
        golden.write_text(page, encoding="utf-8")
    assert page == golden.read_text(encoding="utf-8")


@every_case
@pytest.mark.parametrize("form", Format)
def test_scrape_is_sound_in_every_format(name: str, form: Format) -> None:
    assert_sound(page_of(name, form), form)


@every_case
def test_promtool_objects_to_dcgm_names_alone(name: str) -> None:
    assert_linted(page_of(name, Format.TEXT))


@every_case
def test_formats_say_the_same(name: str) -> None:
    assert of_dcgm(page_of(name, Format.TEXT)) == of_dcgm(page_of(name, Format.OPENMETRICS))


@every_case
def test_numbers_are_whole_where_dcgm_s_are(name: str) -> None:
    for series in of_dcgm(page_of(name, Format.TEXT)):
        field = fields.find(series.name)
        assert field is not None, series.name
        assert series.value.isdigit() == (field.value_type == "int64"), series


def test_every_golden_scrape_has_its_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.metrics")} == set(CASES)


def without_own_values(page: str) -> str:
    own_metrics = page.index(OWN_METRICS_BEGIN)
    shapes = {
        f"# {series.name}{{{','.join(series.label_names)}}}\n": None
        for series in read_series(page[own_metrics:])
        if series.name.startswith("gpu_exporter_")
    }
    return page[:own_metrics] + "".join(shapes)

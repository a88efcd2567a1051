"""The program itself, scraped by a real Prometheus and checked by its promtool."""

import urllib.request
from collections.abc import Iterator

import pytest

from exporter.exposition import Format
from tests.golden.series import read_series
from tests.golden.soundness import assert_linted, assert_sound, tool
from tests.integration.prometheus_run import Prometheus, mock_exporter, prometheus
from tests.waiting import until

SCENARIO = {"gpus": [{"profile": "h100-sxm", "count": 8, "load": 50}]}
ALL = '{job="gpus"}'
"""The series that Prometheus has scraped, and what it says itself of the scrape."""


def get(url: str, accept: str = "*/*") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an exporter that has sampled each of its eight mock GPUs, which no pod holds."""
    with mock_exporter(tmp_path_factory.mktemp("exporter"), SCENARIO) as address:
        page = f"http://{address}/metrics"
        until(lambda: "\nDCGM_FI_PROF_DRAM_ACTIVE{" in get(page), what="rates are there")
        yield address


@pytest.mark.parametrize("form", Format)
def test_scrape_of_the_program_is_sound(exporter: str, form: Format) -> None:
    page = get(f"http://{exporter}/metrics", form.content_type)
    assert_sound(page, form)
    assert len([series for series in read_series(page) if series.name == "DCGM_FI_DEV_GPU_UTIL"]) == 8


def test_promtool_objects_to_nothing_but_dcgm_s_names(exporter: str) -> None:
    assert_linted(get(f"http://{exporter}/metrics"))


@pytest.fixture(scope="module")
def scraping(exporter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that has scraped the exporter at least once; it takes 5 s until it begins."""
    # The target's labels are what service discovery gives in Kubernetes: the exporter's own pod.
    target = {"targets": [exporter], "labels": {"namespace": "monitoring", "pod": "exporter-x7k2p"}}
    gpus = {"job_name": "gpus", "honor_labels": True, "static_configs": [target]}
    with prometheus(tool("prometheus"), tmp_path_factory.mktemp("prometheus"), [gpus]) as found:
        until(lambda: bool(names_in(found)), what="Prometheus has scraped")
        yield found


def names_in(prometheus: Prometheus) -> set[str]:
    """Return the names of all series that it has scraped, without those that it makes itself."""
    found = prometheus.ask("label/__name__/values", **{"match[]": ALL})
    return {name for name in found if name != "up" and not name.startswith("scrape_")}


def values_of(prometheus: Prometheus, query: str) -> list[float]:
    return [float(one["value"][1]) for one in prometheus.series(query)]


def test_prometheus_finds_the_same_names(exporter: str, scraping: Prometheus) -> None:
    names = {series.name for series in read_series(get(f"http://{exporter}/metrics"))}
    until(lambda: names_in(scraping) == names, what="Prometheus has all names")
    assert values_of(scraping, "up") == [1]


def test_series_of_idle_gpus_do_not_get_the_exporter_s_own_pod(exporter: str, scraping: Prometheus) -> None:
    page = read_series(get(f"http://{exporter}/metrics"))
    written = [series.labels for series in page if series.name == "DCGM_FI_DEV_GPU_UTIL"]
    found = [series["metric"] for series in scraping.series("DCGM_FI_DEV_GPU_UTIL")]
    assert [labels["pod"] for labels in written] == [""] * 8
    added = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "job": "gpus", "instance": exporter}
    in_order = sorted(found, key=lambda labels: str(labels["gpu"]))
    assert in_order == [{name: value for name, value in labels.items() if value} | added for labels in written]


def test_prometheus_computes_a_rate_of_what_openmetrics_calls_unknown(scraping: Prometheus) -> None:
    watts = "rate(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[5s]) / 1000"
    until(lambda: len(values_of(scraping, watts)) == 8, what="there is a rate")
    assert all(0 < value < 1000 for value in values_of(scraping, watts))

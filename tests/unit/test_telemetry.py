import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exporter.attribution.jobs import JobNews
from exporter.attribution.owners import OWNER_INFO
from exporter.catalogue.busy_seconds import SERIES
from exporter.exposition import Format
from exporter.mock import Scenario, load_scenario
from exporter.model import Condition, GpuState, Reason
from exporter.nvml.calls import Spent
from exporter.telemetry import OwnerNews, Telemetry, TelemetrySources
from tests.golden.memory_scrape import Setup, scrape
from tests.golden.series import read_series, read_types
from tests.golden.soundness import assert_linted, parse
from tests.unit.entities import GPU, OTHER_GPU, snapshot
from tests.unit.mock_machines import scenario

DOCUMENTED = Path(__file__).parents[2] / "docs" / "telemetry.md"
TRUE_LOAD = DOCUMENTED.parent / "true-load.md"
BUSY = {counter.name for counters in SERIES.values() for counter in counters}
UNITS = ("_seconds", "_bytes", "_ratio", "_info", "_total")
STATES = ("_up", "_released", "_success", "_lost", "_known", "_left_out")
"""Ends of gauges without a unit: yes or no, or how many."""


def known(*states: GpuState, nvml_works: bool = True) -> TelemetrySources:
    return TelemetrySources(
        version="1.2.3",
        source="nvml",
        states=lambda: states,
        nvml_works=lambda: nvml_works,
        failures=dict,
        scrapes=lambda: {"ok": 3, "error": 1, "rejected": 2},
        reloaded=lambda: (True, 1.5e9),
    )


def text(told: TelemetrySources) -> list[str]:
    return Telemetry(told).text(Format.TEXT).splitlines()


SAMPLED = GpuState(0, GPU.gpu, Condition.SAMPLED, snapshot())
GONE = GpuState(1, OTHER_GPU.gpu, Condition.LOST, snapshot(entity=OTHER_GPU, gone=Reason.GPU_LOST))
NEVER_SEEN = GpuState(2, None, Condition.LOST, None)
STARTING = GpuState(3, OTHER_GPU.gpu, Condition.STARTING, None)
HANGING = GpuState(4, OTHER_GPU.gpu, Condition.HANGING, snapshot(entity=OTHER_GPU))


# What it says.


def test_what_nvml_costs_is_told_by_its_own_names() -> None:
    told = replace(known(), spent=lambda: {"nvmlDeviceGetName": Spent(3, 0.25)})
    assert 'gpu_exporter_nvml_reads_total{name="nvmlDeviceGetName"} 3.0' in text(told)
    assert 'gpu_exporter_nvml_seconds_total{name="nvmlDeviceGetName"} 0.25' in text(told)


def test_build_info_tells_version_and_source() -> None:
    assert 'gpu_exporter_build_info{source="nvml",version="1.2.3"} 1.0' in text(known())
    assert 'gpu_exporter_build_info{source="mock",version="1.2.3"} 1.0' in text(replace(known(), source="mock"))


@pytest.mark.parametrize("works", [True, False])
def test_nvml_up_follows_nvml(works: bool) -> None:
    assert f"gpu_exporter_nvml_up {float(works)}" in text(known(nvml_works=works))


@pytest.mark.parametrize("released", [True, False])
def test_gpus_that_are_let_go_on_purpose_are_told_apart_from_lost_ones(released: bool) -> None:
    assert f"gpu_exporter_released {float(released)}" in text(replace(known(), released=lambda: released))


def test_newest_collection_is_told_for_each_gpu_that_had_one() -> None:
    lines = text(known(SAMPLED, GONE, NEVER_SEEN, STARTING))
    for name, value in (
        ("collection_seconds", "0.004"),
        ("collection_nvml_seconds", "0.003"),
        ("snapshot_timestamp_seconds", "1.8e+09"),
    ):
        found = [line for line in lines if line.startswith(f"gpu_exporter_{name}{{")]
        assert found == [f'gpu_exporter_{name}{{gpu="{gpu}"}} {value}' for gpu in (0, 1)]


def test_gpu_is_up_only_while_it_is_sampled() -> None:
    lines = text(known(SAMPLED, GONE, NEVER_SEEN, STARTING, HANGING))
    found = [line.partition(" ")[2] for line in lines if line.startswith("gpu_exporter_gpu_up{")]
    assert found == ["1.0", "0.0", "0.0", "0.0", "0.0"]


def test_lost_counts_the_lost_and_the_hanging_but_not_the_starting() -> None:
    assert "gpu_exporter_gpus_lost 3.0" in text(known(SAMPLED, GONE, NEVER_SEEN, STARTING, HANGING))
    assert "gpu_exporter_gpus_lost 0.0" in text(known(SAMPLED, STARTING))


def test_reading_errors_are_told_by_field_and_reason() -> None:
    failures = {("DCGM_FI_B", Reason.TIMEOUT): 2, ("DCGM_FI_A", Reason.NOT_SUPPORTED): 8}
    lines = text(replace(known(), failures=lambda: failures))
    assert [line for line in lines if line.startswith("gpu_exporter_reading_errors_total{")] == [
        'gpu_exporter_reading_errors_total{reading="DCGM_FI_A",reason="not_supported"} 8.0',
        'gpu_exporter_reading_errors_total{reading="DCGM_FI_B",reason="timeout"} 2.0',
    ]


def test_scrapes_are_told_by_result() -> None:
    lines = text(known())
    assert [line for line in lines if line.startswith("gpu_exporter_scrapes_total{")] == [
        'gpu_exporter_scrapes_total{result="ok"} 3.0',
        'gpu_exporter_scrapes_total{result="error"} 1.0',
        'gpu_exporter_scrapes_total{result="rejected"} 2.0',
    ]


def test_failed_reload_keeps_the_time_of_the_last_good_one() -> None:
    lines = text(replace(known(), reloaded=lambda: (False, 1.5e9)))
    assert "gpu_exporter_config_reload_success 0.0" in lines
    assert "gpu_exporter_config_reload_success_timestamp_seconds 1.5e+09" in lines


def test_process_metrics_are_of_this_process() -> None:
    found = {series.name: float(series.value) for series in read_series("\n".join(text(known())))}
    assert found["process_resident_memory_bytes"] > 1e6
    assert 0 < found["process_open_fds"] <= found["process_max_fds"]


OWNERS = OwnerNews(
    known=True,
    answered_at=1.6e9,
    failures={"timed_out": 4, "socket_missing": 1},
    unmatched_total=2,
    watches={"resourceslices": False, "pods": True},
    labels_left_out=3,
)
JOBS = JobNews(1.5e9, 0)


def test_news_of_the_owners_are_told_where_kubelet_is_asked() -> None:
    def told(news: OwnerNews | None) -> list[str]:
        lines = text(replace(known(), owner_news=lambda: news))
        return [line for line in lines if not line.startswith(("#", "process_")) and line not in text(known())]

    assert told(None) == []
    assert told(OWNERS) == [
        "gpu_exporter_owners_known 1.0",
        "gpu_exporter_pod_resources_timestamp_seconds 1.6e+09",
        'gpu_exporter_pod_resources_errors_total{reason="socket_missing"} 1.0',
        'gpu_exporter_pod_resources_errors_total{reason="timed_out"} 4.0',
        "gpu_exporter_unmatched_device_ids_total 2.0",
        'gpu_exporter_kube_watch_up{resource="pods"} 1.0',
        'gpu_exporter_kube_watch_up{resource="resourceslices"} 0.0',
        "gpu_exporter_pod_labels_left_out 3.0",
    ]


def test_kubelet_that_has_never_answered_has_no_time_of_an_answer() -> None:
    lines = text(replace(known(), owner_news=lambda: OWNERS._replace(known=False, answered_at=None)))
    assert "gpu_exporter_owners_known 0.0" in lines
    assert not [line for line in lines if "pod_resources_timestamp" in line]


def test_news_of_hpc_jobs_are_told_where_a_folder_is_read() -> None:
    def told(news: JobNews | None) -> list[str]:
        return [line for line in text(replace(known(), job_news=lambda: news)) if line.startswith("gpu_exporter_hpc")]

    assert told(None) == []
    assert told(JobNews(None, 1)) == ["gpu_exporter_hpc_job_files_left_out 1.0"]
    assert told(JOBS) == [
        "gpu_exporter_hpc_jobs_timestamp_seconds 1.5e+09",
        "gpu_exporter_hpc_job_files_left_out 0.0",
    ]


def test_answers_are_asked_for_at_every_rendering() -> None:
    scrapes = {"ok": 0}
    telemetry = Telemetry(replace(known(), scrapes=lambda: scrapes))
    assert 'gpu_exporter_scrapes_total{result="ok"} 0.0' in telemetry.text(Format.TEXT)
    scrapes["ok"] = 9
    assert 'gpu_exporter_scrapes_total{result="ok"} 9.0' in telemetry.text(Format.TEXT)


# How much, and in which form.


@dataclass(frozen=True, slots=True)
class Machine:
    scenario: Callable[[], Scenario]
    series: int


EIGHT_T4 = Machine(lambda: scenario("gpus: [{profile: t4, count: 8}]"), 67)
EIGHT_A100 = Machine(lambda: scenario("gpus: [{profile: a100-sxm, count: 8}]"), 62)
EIGHT_H100 = Machine(lambda: load_scenario("h100-sxm"), 58)


@pytest.mark.parametrize("machine", [EIGHT_H100, EIGHT_A100, EIGHT_T4])
def test_eight_gpus_have_at_most_seventy_own_series_beside_their_busy_seconds(machine: Machine) -> None:
    page = scrape(machine.scenario(), 3.0, Setup())
    own = [series for series in read_series(page) if series.name.startswith("gpu_exporter_")]
    others = [series for series in own if not BUSY & {series.name, series.labels.get("reading")}]
    assert len(others) == machine.series <= 70
    assert len(own) - len(others) <= 8 * 9


def test_every_state_of_a_gpu_counts_for_at_most_four_series() -> None:
    none = len(read_series("\n".join(text(known()))))
    for state in (SAMPLED, GONE, NEVER_SEEN, STARTING, HANGING):
        assert len(read_series("\n".join(text(known(state))))) <= none + 4


@pytest.mark.parametrize("form", Format)
def test_no_histogram_and_no_time_of_creation(form: Format) -> None:
    page = Telemetry(known(SAMPLED)).text(form)
    assert set(read_types(page).values()) <= {"gauge", "counter"}
    assert not re.search(r"_(created|bucket|sum|count)\b", page)


def test_names_end_in_their_unit_or_state() -> None:
    told = replace(known(SAMPLED, GONE), owner_news=lambda: OWNERS, job_news=lambda: JOBS)
    for name, kind in read_types("\n".join(text(told))).items():
        if name.startswith("gpu_exporter_"):
            assert name.endswith((*UNITS, *STATES)), name
            assert name.endswith("_total") == (kind == "counter"), name


def test_linter_of_prometheus_has_no_objection() -> None:
    assert_linted(
        Telemetry(replace(known(SAMPLED, GONE), owner_news=lambda: OWNERS, job_news=lambda: JOBS)).text(Format.TEXT)
    )


def test_openmetrics_has_the_same_series() -> None:
    told = replace(known(SAMPLED, HANGING), failures=lambda: {("X", Reason.UNKNOWN): 1}, owner_news=lambda: OWNERS)
    telemetry = Telemetry(told)
    families = parse(telemetry.text(Format.OPENMETRICS), Format.OPENMETRICS)
    in_openmetrics = {(s.name, *s.labels.items()) for f in families for s in f.samples}
    in_text = {(s.name, *s.labels.items()) for s in read_series(telemetry.text(Format.TEXT))}
    assert in_openmetrics == in_text


def test_documentation_names_every_own_metric() -> None:
    page = scrape(scenario("gpus: [{profile: h100-sxm, faults: [{kind: xid, at_s: 0.5, code: 31}]}]"), 1.0, Setup())
    told = replace(known(), owner_news=lambda: OWNERS, job_news=lambda: JOBS, web_config_reloaded=lambda: (True, 1.0))
    page += "\n".join(text(told))
    printed = {name for name in read_types(page) if name.startswith("gpu_exporter_")} | {OWNER_INFO.name}
    rows = re.findall(r"^\| `(gpu_exporter_\w+)` \|", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE)
    seconds = re.findall(r"`(gpu_exporter_\w+_seconds_total)`", TRUE_LOAD.read_text(encoding="utf-8"))
    assert {*rows, *seconds} == printed | BUSY


def test_documentation_names_every_reason_that_is_counted() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE)
    assert {row for row in rows if not row.startswith("gpu_exporter_")} == set(Reason) - {Reason.NO_SAMPLE_YET}

"""The PrometheusRule: each alert fires when it should and keeps quiet otherwise, by promtool, in each label style."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.catalogue import ANSWERED
from exporter.counters import parse_counters
from exporter.fields import ALIASES, FIELDS
from tests.chart.alert_cases import SCRAPED_STYLES, STYLES, Style, promtool_test, read_cases
from tests.chart.helm import Helm, Refused, Values
from tests.chart.promql import Question, contradictions
from tests.tools.build import build

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
TEXTS = ("summary", "description", "runbook", "runbook_url")
COUNTER_FILES = (
    *(Path(__file__).parents[2] / "exporter" / "counter_files").glob("*.csv"),
    Path(__file__).parents[2] / "chart" / "files" / "health-counters.csv",
)
PRINTED = {
    row.partition(",")[0].strip() for file in COUNTER_FILES for row in file.read_text(encoding="utf-8").splitlines()
}
"""The fields that counters files and the chart's rows for health name; a row that is commented out names none."""

Rules = Mapping[str, Mapping[str, Any]]
"""Rules by the name of their alert."""


def render(helm: Helm, values: Values | None = None) -> Rules:
    groups = helm.template(values).one("PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*arguments: str) -> str:
    """Return what promtool says; it must have found nothing wrong."""
    done = subprocess.run(
        [build("prometheus")["promtool"], *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_rules(folder: Path, rules: Rules, *annotations: str) -> Path:
    """Write rules as Prometheus takes them, with some of their annotations."""
    kept = [
        {**rule, "annotations": {name: rule["annotations"][name] for name in annotations}} for rule in rules.values()
    ]
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "gpu", "rules": kept}]}))
    return path


@pytest.mark.parametrize("style", SCRAPED_STYLES.values(), ids=SCRAPED_STYLES)
def test_each_alert_fires_and_keeps_quiet_as_its_cases_say(style: Style, helm: Helm, tmp_path: Path) -> None:
    cases = list(read_cases(style))
    tests: list[str] = []
    for name, rule in render(helm, style.values).items():  # each rule alone: promtool evaluates all, each minute
        (tmp_path / name).mkdir()
        path = write_rules(tmp_path / name, {name: rule}, "summary")
        of_rule = (case for case in cases if case.alert == name)
        test = tmp_path / name / "test.yaml"
        test.write_text(yaml.safe_dump(promtool_test(of_rule, path, {name: rule["labels"]["severity"]})))
        tests.append(str(test))
    assert promtool("test", "rules", *tests).count("SUCCESS") == len(tests)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_keeps_quiet(helm: Helm) -> None:
    cases = list(read_cases(STYLES["classic"]))
    fires = {case.alert for case in cases if any(case.expected.values())}
    keeps_quiet = {case.alert for case in cases if not all(case.expected.values())}
    assert fires == keeps_quiet == set(render(helm))


@pytest.mark.parametrize("style", SCRAPED_STYLES.values(), ids=SCRAPED_STYLES)
def test_promtool_finds_nothing_wrong_with_the_rules(style: Style, helm: Helm, tmp_path: Path) -> None:
    path = write_rules(tmp_path, render(helm, style.values), *TEXTS)
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))


@pytest.mark.parametrize("style", SCRAPED_STYLES.values(), ids=SCRAPED_STYLES)
def test_each_alert_says_how_bad_it_is_what_it_is_and_what_to_do(style: Style, helm: Helm) -> None:
    for name, rule in render(helm, style.values).items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == set(TEXTS), name
        assert re.match(r"1\. ", rule["annotations"]["runbook"]), name
        assert not re.search(r"<[\w ]+>", str(rule)), f"{name} has something that was not filled in"


def fields_of(expr: str) -> Iterator[str]:
    """Yield the fields that an expression names, by themselves or by a regular expression."""
    for word in re.findall(r"DCGM_(?!FR_)[A-Z0-9_]+(?:\([A-Z_|]+\)\??|\?)?[A-Z_]*", expr):
        matched = [name for name in (*FIELDS, *ALIASES) if re.fullmatch(word, name)]
        assert matched, word
        yield from matched


def test_no_alert_names_a_field_that_no_packaged_counters_file_prints(helm: Helm) -> None:
    """One that waits for a series that nobody has only seems to watch."""
    named = {(name, field) for name, rule in render(helm).items() for field in fields_of(rule["expr"])}
    assert {alert for alert, _ in named} >= {"GpuXid", "GpuRowRemapFailure", "GpuHot", "GpuAllocatedButIdle"}
    assert {one for one in named if {one[1], ALIASES.get(one[1])}.isdisjoint(PRINTED)} == set()


def test_each_alert_links_to_its_part_of_the_documentation(helm: Helm) -> None:
    served = render(helm, {"alerts": {"runbookUrl": "https://wiki.example.com/gpu-alerts#"}})
    for name in render(helm):
        assert served[name]["annotations"]["runbook_url"] == f"https://wiki.example.com/gpu-alerts#{name.lower()}"
        assert render(helm)[name]["annotations"]["runbook_url"] == f"docs/alerts.md#{name.lower()}"


def test_the_documentation_lists_each_alert_with_its_runbook(helm: Helm) -> None:
    sections = {part.split("\n", 1)[0]: part for part in DOCS.read_text().split("\n## ")[1:]}
    rules = render(helm)
    assert [name for name in sections if name.startswith("Gpu")] == list(rules)
    for name, rule in rules.items():
        assert " ".join(rule["annotations"]["runbook"].split()) in " ".join(sections[name].split()), name
        assert f"**{rule['labels']['severity']}**" in sections[name], name


def test_numbers_of_the_values_are_the_rules_numbers(helm: Helm) -> None:
    rules = render(helm, {"alerts": {"idleMinutes": 15, "temperatureCelsius": 80}})
    assert rules["GpuHot"]["expr"].endswith(">= 80")
    idle = rules["GpuAllocatedButIdle"]["expr"]
    assert set(re.findall(r"\[(\w+)(?::1m)?\]|offset (\w+)", idle)) == {("15m", ""), ("", "15m"), ("5m", "")}
    assert set(re.findall(r"> 0\.9.* (\d+)$", idle, re.MULTILINE)) == {"15"}
    assert "idle for 15 minutes" in rules["GpuAllocatedButIdle"]["annotations"]["summary"]


def test_alerts_can_be_left_out_by_name(helm: Helm) -> None:
    left = render(helm, {"alerts": {"disabled": ["GpuHot", "GpuHpaMetricMissing"]}})
    assert set(render(helm)) - set(left) == {"GpuHot", "GpuHpaMetricMissing"}


def test_no_rule_is_made_when_all_alerts_are_left_out_or_unwanted_or_the_cluster_knows_none(helm: Helm) -> None:
    for values in ({"alerts": {"disabled": list(render(helm))}}, {"alerts": {"enabled": False}}):
        assert helm.template(values).all("PrometheusRule") == []
    assert helm.template(apis=["monitoring.coreos.com/v1/ServiceMonitor"]).all("PrometheusRule") == []


@pytest.mark.parametrize("apis", [(), ("monitoring.coreos.com/v1/PrometheusRule",)])
def test_an_alert_that_nobody_knows_ends_the_rendering(helm: Helm, apis: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match=r"alerts\.disabled: unknown alert GpuTooHot; the alerts are GpuLost, "):
        helm.template({"alerts": {"disabled": ["GpuTooHot"]}}, apis=apis)


def test_only_a_real_release_warns_of_the_mock(helm: Helm) -> None:
    mock = render(helm, {"mock": {"enabled": True}})
    assert set(render(helm)) - set(mock) == {"GpuMetricsAreMock"}
    helm.template({"mock": {"enabled": True}, "alerts": {"disabled": ["GpuMetricsAreMock"]}})


def test_a_pod_monitor_s_targets_are_watched_under_their_own_job(helm: Helm) -> None:
    rule = render(helm, {"podMonitor": {"enabled": True}})["GpuExporterDown"]
    assert re.findall(r'job="(.*?)"', rule["expr"]) == ["monitoring/dcgm-exporter-metrics"] * 2


def test_where_the_chart_scrapes_nothing_the_owners_of_another_scrape_count(helm: Helm) -> None:
    idle = render(helm, {"serviceMonitor": {"enabled": False}})["GpuAllocatedButIdle"]["expr"]
    assert 'exporter_pod!=""' in render(helm)["GpuAllocatedButIdle"]["expr"]
    assert 'exporter_pod!=""' not in idle
    assert set(re.findall(r'(\w+)!=""', idle)) == {"pod", "GPU_I_ID"}


def test_no_snapshot_is_stale_between_two_scrapes_that_are_far_apart(helm: Helm, tmp_path: Path) -> None:
    expr = render(helm, {"serviceMonitor": {"interval": "3m"}})["GpuSnapshotStale"]["expr"]
    taken = {'gpu_exporter_snapshot_timestamp_seconds{instance="a", gpu="0"}': "0 _x11 180 _x11 360"}
    assert contradictions(taken, [Question(expr, {})], tmp_path) == ""


NVML_IS_DOWN = {
    'gpu_exporter_nvml_up{instance="10.0.0.5:9400", exporter_pod="dcgm-exporter-cpu"}': "0x20",
    'gpu_exporter_nvml_up{instance="10.0.0.6:9400", exporter_pod="dcgm-exporter-gpu"}': "0x20",
}
KUBE_STATE = {
    'kube_pod_info{namespace="monitoring", pod="dcgm-exporter-cpu", node="cpu"}': "1x20",
    'kube_pod_info{namespace="monitoring", pod="dcgm-exporter-gpu", node="gpu"}': "1x20",
    'kube_node_status_capacity{node="cpu", resource="cpu"}': "8x20",
    'kube_node_status_capacity{node="gpu", resource="cpu"}': "8x20",
    'kube_node_status_capacity{node="gpu", resource="nvidia_com_gpu"}': "0x20",  # the device plugin has lost them, too
}
GPU_NODE = '{instance="10.0.0.6:9400", exporter_pod="dcgm-exporter-gpu"}'
CPU_NODE = '{instance="10.0.0.5:9400", exporter_pod="dcgm-exporter-cpu"}'


@pytest.mark.parametrize(
    ("values", "left_out", "fires"),
    [
        ({"gpuNodes": {"only": False}}, "", {GPU_NODE: 0}),
        ({"gpuNodes": {"only": False}}, "kube_", {GPU_NODE: 0, CPU_NODE: 0}),
        ({"gpuNodes": {"only": False}}, "kube_node", {GPU_NODE: 0, CPU_NODE: 0}),
        ({"gpuNodes": {"only": False}, "nodeSelector": {"gpu": "yes"}}, "", {GPU_NODE: 0, CPU_NODE: 0}),
        ({}, "", {GPU_NODE: 0, CPU_NODE: 0}),
    ],
)
def test_a_node_without_gpus_has_no_broken_driver_where_that_can_be_known(
    values: Values, left_out: str, fires: Mapping[str, float], helm: Helm, tmp_path: Path
) -> None:
    series = NVML_IS_DOWN | {name: is_ for name, is_ in KUBE_STATE.items() if not left_out or left_out not in name}
    expr = render(helm, values)["GpuNvmlDown"]["expr"]
    assert contradictions(series, [Question(expr, fires)], tmp_path) == ""


def test_rules_carry_the_labels_by_which_a_prometheus_chooses_them(helm: Helm) -> None:
    made = helm.template({"alerts": {"additionalLabels": {"release": "kube-prometheus"}}}).one("PrometheusRule")
    assert made["metadata"]["labels"]["release"] == "kube-prometheus"
    assert made["metadata"]["labels"]["app.kubernetes.io/name"] == "dcgm-exporter"


def test_counters_for_alerts_on_health_come_after_those_of_the_default_file(helm: Helm) -> None:
    def fields(values: Values) -> list[str]:
        text = helm.template(values).one("ConfigMap", "dcgm-exporter-counters")["data"]["default-counters.csv"]
        parsed = parse_counters(text, "the chart's", ANSWERED)
        assert parsed.warnings == ()
        return [counter.name for counter in parsed.counters]

    added = [
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "DCGM_FI_DEV_ROW_REMAP_PENDING",
        "DCGM_EXP_GPU_HEALTH_STATUS",
        "DCGM_EXP_XID_ERRORS_TOTAL",
    ]
    assert fields({"healthCounters": True}) == [*fields({}), *added]

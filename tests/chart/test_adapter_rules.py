"""The adapter's rules: the numbers that they give, by the real engine, in each spelling and each generation."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from tests.chart.adapter_rules import Rule, read_rules
from tests.chart.alert_cases import STYLES
from tests.chart.gpu_fleet import EXPECTED, PODS, scraped
from tests.chart.helm import CHART, Helm, Refused
from tests.chart.promql import Question, Series, contradictions

GENERATIONS = (0, 1)
COUNTER_FILES = Path(__file__).parents[2] / "exporter" / "counter_files"
JOB = "dcgm-exporter"
"""As the operator calls the targets of the exporter's Service, whoever made the ServiceMonitor."""

GPU_METRICS = yaml.safe_load((CHART / "files" / "metrics" / "gpu.yaml").read_text(encoding="utf-8"))


def answers(rule: Rule) -> Mapping[str, float]:
    return {f'{{{rule.pod}="{pod}"}}': value for pod, value in EXPECTED[rule.metric].items()}


def gpu_rules(helm: Helm, style: str = "classic") -> list[Rule]:
    return [rule for rule in read_rules(helm.template(STYLES[style].values)) if rule.metric.startswith("gpu_")]


def winners(rules: Sequence[Rule], *, is_renamed: bool) -> list[Rule]:
    """Return the rule of each metric that the adapter uses: the last whose series there are."""
    last = {rule.metric: rule for rule in rules if is_renamed or not rule.pod.startswith("exported_")}
    return list(last.values())


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("style", "is_renamed"),
    [*((style, False) for style in STYLES), *((style, True) for style in STYLES if style != "old")],
)
def test_each_pod_has_the_numbers_of_its_own_gpus(
    style: str, is_renamed: bool, generation: int, helm: Helm, tmp_path: Path
) -> None:
    rules = winners(gpu_rules(helm, style), is_renamed=is_renamed)
    assert {rule.metric for rule in rules} == EXPECTED.keys()
    series = scraped(STYLES[style].names, generation, is_renamed=is_renamed, job=JOB)
    questions = [Question(rule.fill("inference", *PODS), answers(rule)) for rule in rules]
    assert contradictions(series, questions, tmp_path) == ""


def test_both_generations_at_once_give_the_numbers_once(helm: Helm, tmp_path: Path) -> None:
    names = STYLES["classic"].names
    series = scraped(names, 0, is_renamed=False) | scraped(names, 1, is_renamed=False)
    questions = [
        Question(rule.fill("inference", *PODS), answers(rule)) for rule in winners(gpu_rules(helm), is_renamed=False)
    ]
    assert contradictions(series, questions, tmp_path) == ""


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_gpu_that_two_service_monitors_scrape_counts_once(is_renamed: bool, helm: Helm, tmp_path: Path) -> None:
    names = STYLES["classic"].names
    series = scraped(names, 0, is_renamed=False, job="a") | scraped(names, 0, is_renamed=is_renamed, job=JOB)
    questions = [
        Question(rule.fill("inference", *PODS), answers(rule))
        for rule in winners(gpu_rules(helm), is_renamed=is_renamed)
    ]
    assert contradictions(series, questions, tmp_path) == ""


@pytest.mark.parametrize(
    ("values", "job"),
    [
        ({}, JOB),
        ({"fullnameOverride": "gpus"}, "gpus"),
        ({"podMonitor": {"enabled": True}}, "monitoring/dcgm-exporter-metrics"),
        ({"podMonitor": {"enabled": True}}, JOB),
    ],
)
def test_the_rule_for_renamed_labels_is_for_our_own_exporter_by_service_or_by_pod(
    values: Mapping[str, object], job: str, helm: Helm, tmp_path: Path
) -> None:
    rules = [rule for rule in read_rules(helm.template(values)) if rule.pod == "exported_pod"]
    series = scraped(STYLES["classic"].names, 0, is_renamed=True, job=job)
    questions = [Question(rule.fill("inference", *PODS), answers(rule)) for rule in rules]
    questions += [Question(f"group({rule.series})", {"{}": 1}) for rule in rules]
    assert contradictions(series, questions, tmp_path) == ""


@pytest.mark.parametrize(("job", "namespace"), [("nvidia-dcgm-exporter", "gpu-operator"), (JOB, "gpu-operator")])
def test_renamed_labels_of_another_exporter_take_no_metric_from_pods_of_ours(
    job: str, namespace: str, helm: Helm, tmp_path: Path
) -> None:
    """One that a rule finds makes that rule the one for the whole cluster."""
    ours = scraped(STYLES["classic"].names, 0, is_renamed=True, job=job)
    theirs = {name.replace('"monitoring"', f'"{namespace}"'): values for name, values in ours.items()}
    assert finds_nothing_renamed(theirs, helm, tmp_path)


def test_the_second_spelling_of_our_own_monitor_takes_no_metric_from_pods_of_others(helm: Helm, tmp_path: Path) -> None:
    both = with_exported_labels(scraped(STYLES["classic"].names, 0, is_renamed=False, job=JOB))
    assert finds_nothing_renamed(both, helm, tmp_path)
    plain = winners(gpu_rules(helm), is_renamed=False)
    questions = [Question(rule.fill("inference", *PODS), answers(rule)) for rule in plain]
    assert contradictions(both, questions, tmp_path) == ""


def finds_nothing_renamed(series: Series, helm: Helm, folder: Path) -> bool:
    """Tell whether the rules for renamed labels find none of these series, and have no value of them."""
    renamed = [rule for rule in gpu_rules(helm) if rule.pod == "exported_pod"]
    questions = [Question(rule.series, {}) for rule in renamed]
    questions += [Question(rule.fill("inference", *PODS), {}) for rule in renamed]
    return contradictions(series, questions, folder) == ""


def with_exported_labels(series: Series) -> Series:
    """Return series of the chart's own monitor: the workload's labels in both spellings, and exporter_pod."""
    return {
        re.sub(r'\b(pod|namespace|container)="([^"]+)"', r'\1="\2",exported_\1="\2"', name).replace(
            "{", '{exporter_pod="dcgm-exporter-x7k2p",', 1
        ): values
        for name, values in series.items()
    }


@pytest.mark.parametrize("scraped_style", [style for style in STYLES if style != "old"])
@pytest.mark.parametrize("style", [style for style in STYLES if style != "old"])
def test_rules_of_any_label_style_count_the_gpus_of_any_other(
    style: str, scraped_style: str, helm: Helm, tmp_path: Path
) -> None:
    """While a cluster changes its label style both are there. Without this a pod's GPUs would be one, the busiest."""
    series = scraped(STYLES[scraped_style].names, 0, is_renamed=False)
    rules = winners(gpu_rules(helm, style), is_renamed=False)
    questions = [Question(rule.fill("inference", *PODS), answers(rule)) for rule in rules]
    assert contradictions(series, questions, tmp_path) == ""


def test_idle_gpus_and_pods_of_other_namespaces_are_nobodys(helm: Helm, tmp_path: Path) -> None:
    series = scraped(STYLES["classic"].names, 0, is_renamed=False)
    questions = [Question(rule.fill("elsewhere", *PODS), {}) for rule in gpu_rules(helm)]
    assert contradictions(series, questions, tmp_path) == ""


def test_a_namespace_as_a_whole_counts_each_gpu_once(helm: Helm, tmp_path: Path) -> None:
    series = scraped(STYLES["classic"].names, 0, is_renamed=False)
    [rule] = [rule for rule in winners(gpu_rules(helm), is_renamed=False) if rule.metric == "gpu_framebuffer_used_mib"]
    question = Question(rule.fill_for_namespace("inference"), {'{namespace="inference"}': 3000})
    assert contradictions(series, [question], tmp_path) == ""


def test_what_is_not_a_number_is_left_out_and_is_not_0(helm: Helm, tmp_path: Path) -> None:
    series = {
        name: " ".join(["NaN"] * 41) if "GPU-c" in name else values
        for name, values in scraped(STYLES["classic"].names, 0, is_renamed=False).items()
    }
    questions = [Question(rule.fill("inference", "left"), {}) for rule in gpu_rules(helm)]
    assert contradictions(series, questions, tmp_path) == ""


@pytest.mark.parametrize("style", [style for style in STYLES if style != "old"])
def test_the_rule_for_renamed_labels_stands_behind_the_plain_one(style: str, helm: Helm) -> None:
    pods: dict[str, list[str]] = {}
    for rule in gpu_rules(helm, style):
        pods.setdefault(rule.metric, []).append(rule.pod)
        assert f'{rule.namespace}!="",{rule.pod}!=""' in rule.series
    assert set(map(tuple, pods.values())) == {("pod", "exported_pod")}


def test_old_label_names_are_never_renamed_and_need_one_rule(helm: Helm) -> None:
    rules = gpu_rules(helm, "old")
    assert {rule.pod for rule in rules} == {"pod_name"}
    assert len(rules) == len({rule.metric for rule in rules})


def test_every_series_of_a_rule_is_one_that_the_exporter_has_by_default() -> None:
    exported = set()
    for name in ("default-counters.csv", "dcgm-4.9-counters.csv"):
        rows = csv.reader((COUNTER_FILES / name).read_text(encoding="utf-8").splitlines())
        exported |= {row[0] for row in rows if row and not row[0].startswith("#")}
    for metric in GPU_METRICS:
        for series in metric["series"]:
            assert {series["name"], series.get("rest", series["name"])} <= exported


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"arguments": ["--label-style", "4.10"]},
            'arguments: --label-style takes classic, 4.8.3 or 4.9, not "4.10"',
        ),
        (
            {"arguments": ["--label-style=4.10"]},
            'arguments: --label-style takes classic, 4.8.3 or 4.9, not "4.10"',
        ),
        (
            {"extraEnv": [{"name": "DCGM_EXPORTER_LABEL_STYLE", "value": "new"}]},
            'extraEnv: DCGM_EXPORTER_LABEL_STYLE takes classic, 4.8.3 or 4.9, not "new"',
        ),
        (
            {
                "extraEnv": [
                    {"name": "DCGM_EXPORTER_LABEL_STYLE", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}
                ]
            },
            "extraEnv: DCGM_EXPORTER_LABEL_STYLE needs its value here",
        ),
        (
            {"extraEnv": [{"name": "DCGM_EXPORTER_USE_OLD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            "extraEnv: DCGM_EXPORTER_USE_OLD_NAMESPACE needs its value here",
        ),
    ],
)
def test_label_names_that_nobody_can_know_are_refused(values: Mapping[str, object], sentence: str, helm: Helm) -> None:
    with pytest.raises(Refused) as refused:
        helm.template(values)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"arguments": ["-o"]},
        {"arguments": ["--use-old-namespace=true"]},
        {"extraEnv": [{"name": "DCGM_EXPORTER_USE_OLD_NAMESPACE", "value": "1"}]},
    ],
)
def test_rules_follow_the_exporter_s_arguments_and_variables(values: Mapping[str, object], helm: Helm) -> None:
    [first, *_] = read_rules(helm.template(values))
    assert (first.pod, first.namespace) == ("pod_name", "pod_namespace")


def test_guide_s_rule_finds_its_series(helm: Helm) -> None:
    [first, *_] = [rule for rule in gpu_rules(helm) if rule.metric == "gpu_utilization"]
    [names] = re.findall(r'__name__=~"([^"]*)"', first.series)
    assert "DCGM_FI_DEV_GPU_UTIL" in names.split("|")


def test_rules_come_out_the_same_each_time(helm: Helm) -> None:
    """Else the adapter would be restarted by each upgrade."""
    first, second = (
        helm.run("template", "x", str(CHART), "--show-only=templates/adapter/rules.yaml") for _ in range(2)
    )
    assert first == second


def test_rules_of_the_user_stand_last(helm: Helm) -> None:
    rules = read_rules(helm.template({"adapter": {"rules": {"extra": [OWN]}}}))
    assert rules[-1].series == OWN["seriesQuery"]
    assert len(rules) == len(read_rules(helm.template())) + 1


OWN = {
    "seriesQuery": 'mine{namespace!="",pod!=""}',
    "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
    "name": {"as": "gpu_utilization"},
    "metricsQuery": "sum by (<<.GroupBy>>)(mine{<<.LabelMatchers>>})",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metricsQuery": ""}, "a rule without seriesQuery and metricsQuery would stop the adapter"),
        (
            {"metricsQuery": "sum(mine{<<.LabelMatchers>>}) by (<<.Nope>>)"},
            "metricsQuery: <<.Nope>> is not a placeholder",
        ),
        ({"metricsQuery": "sum by (<<.GroupBy>>)(mine{<<.LabelMatchers>})"}, "metricsQuery: << without >>"),
        ({"metricsQuery": "sum by (<<.GroupBy>>)(mine)"}, "metricsQuery has no <<.LabelMatchers>>, so every pod"),
        ({"metricsQuery": "sum(mine{<<.LabelMatchers>>})"}, "metricsQuery has no <<.GroupBy>>, so its result"),
        ({"seriesQuery": "x{"}, "seriesQuery: x{ is not a series selector"),
        ({"seriesQuery": "rate(x[5m])"}, "seriesQuery: rate(x[5m]) is not a series selector"),
        ({"resources": {}}, "resources needs overrides or a template"),
    ],
)
def test_a_rule_that_would_stop_the_adapter_is_refused(
    changes: Mapping[str, object], sentence: str, helm: Helm
) -> None:
    with pytest.raises(Refused) as refused:
        helm.template({"adapter": {"rules": {"extra": [{**OWN, **changes}]}}})
    assert f"adapter.rules.extra[0]: {sentence}" in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"seriesQuery": "mine"},
        {"seriesQuery": '{__name__=~"^container_.*",container!="POD",namespace!="",pod!=""}'},
        {"seriesQuery": r'mine{path="a}\"b",pod!=""}'},
        {"resources": {"template": "kube_<<.Group>>_<<.Resource>>"}},
        {"metricsQuery": 'sum(<<.Series>>{<<.LabelMatchers>>,container!="POD"}) by (<<.GroupBy>>)'},
        {"metricsQuery": 'sum(mine{pod=~"<<index .LabelValuesByName "pod">>"}) by (<<index .GroupBySlice 0>>)'},
    ],
)
def test_rules_as_prometheus_adapter_knows_them_are_taken(changes: Mapping[str, object], helm: Helm) -> None:
    rule = {**OWN, **changes}
    [*_, last] = yaml.safe_load(
        helm.template({"adapter": {"rules": {"extra": [rule]}}}).one("ConfigMap", "dcgm-exporter-adapter-rules")[
            "data"
        ]["config.yaml"]
    )["rules"]
    assert last == rule


def test_serving_rules_can_be_left_out(helm: Helm) -> None:
    metrics = {rule.metric for rule in read_rules(helm.template({"adapter": {"rules": {"serving": False}}}))}
    assert metrics == EXPECTED.keys()


def test_no_config_map_is_made_if_nobody_wants_it(helm: Helm) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        read_rules(helm.template({"adapter": {"rules": {"create": False}}}))

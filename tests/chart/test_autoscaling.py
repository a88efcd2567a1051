"""`autoscaling`: the HPAs and ScaledObjects, and what is refused in one sentence."""

import re
from collections.abc import Mapping

import pytest
import yaml

from tests.chart.helm import NAMESPACE, Helm, Refused
from tests.chart.schemas import NEWEST, OLDEST, Schemas
from tests.chart.targets import GPU, Object, entry, hpa_of, keda, scaled_object_of

GUIDES_QUEUE_HPA = """
scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: vllm-inference}
minReplicas: 1
maxReplicas: 8
behavior: {scaleDown: {stabilizationWindowSeconds: 300}}
metrics:
  - type: Pods
    pods: {metric: {name: inference_queue_depth}, target: {type: AverageValue, averageValue: "5"}}
"""


def test_guide_s_hpa_on_queue_depth_comes_of_four_lines(helm: Helm) -> None:
    made = hpa_of(
        helm, {"name": "vllm-inference", "namespace": "inference", "maxReplicas": 8, "metrics": [{"preset": "vllm"}]}
    )
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("vllm-inference-hpa", "inference")
    assert made["spec"] == yaml.safe_load(GUIDES_QUEUE_HPA)


def test_guide_s_hpa_on_utilization_aims_at_50_percent(helm: Helm) -> None:
    made = hpa_of(helm, {"name": "gpu-workload", "namespace": "default", "maxReplicas": 4, "metrics": [GPU]})
    [metric] = made["spec"]["metrics"]
    assert metric["pods"] == {
        "metric": {"name": "gpu_utilization"},
        "target": {"type": "AverageValue", "averageValue": "50"},
    }
    assert (made["metadata"]["name"], made["spec"]["minReplicas"]) == ("gpu-workload-hpa", 1)


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        (5, "5"),
        ("5", "5"),
        (0.8, "0.8"),
        ("0.80", "0.8"),
        (80000, "80000"),
        (81559000000, "81559000000"),
        (12.0, "12"),
        (1000000.5, "1000000.5"),
    ],
)
def test_a_threshold_comes_out_as_plain_text_however_it_is_given(given: object, rendered: str, helm: Helm) -> None:
    metrics = [{"preset": "gpu_utilization", "threshold": given}]
    [metric] = hpa_of(helm, entry(metrics=metrics))["spec"]["metrics"]
    assert metric["pods"]["target"]["averageValue"] == rendered
    [trigger] = scaled_object_of(helm, keda(metrics=metrics))["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == rendered


def test_an_entry_has_as_many_metrics_as_it_names(helm: Helm) -> None:
    metrics = [GPU, {"preset": "vllm"}, {"metric": "app_requests", "threshold": 10}]
    made = hpa_of(helm, entry(metrics=metrics))["spec"]["metrics"]
    assert [one["pods"]["metric"]["name"] for one in made] == [
        "gpu_utilization",
        "inference_queue_depth",
        "app_requests",
    ]


def test_behavior_of_the_user_is_added_to_the_calm_way_down(helm: Helm) -> None:
    up = {"scaleUp": {"stabilizationWindowSeconds": 30}}
    calm = {"scaleDown": {"stabilizationWindowSeconds": 300}}
    assert hpa_of(helm, entry(behavior=up))["spec"]["behavior"] == up | calm
    eager = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    config = scaled_object_of(helm, keda(behavior=eager))["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    assert config["behavior"] == eager


def test_a_workload_is_where_the_release_is_unless_it_says_otherwise(helm: Helm) -> None:
    made = hpa_of(helm, {"name": "llm", "maxReplicas": 2, "metrics": [GPU]})
    assert made["metadata"]["namespace"] == NAMESPACE


def test_other_kinds_of_workload_can_be_scaled(helm: Helm) -> None:
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    assert hpa_of(helm, entry(**target))["spec"]["scaleTargetRef"] == {**target, "name": "llm"}
    assert scaled_object_of(helm, keda(**target))["spec"]["scaleTargetRef"] == {**target, "name": "llm"}


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_kubernetes_and_keda_accept_what_is_made(release: str, helm: Helm, schemas: Mapping[str, Schemas]) -> None:
    zero = keda(name="zero", minReplicas=0, activation={"query": "x"}, pollingInterval=5, annotations={"a": "b"})
    rendered = helm.template({"autoscaling": [entry(), keda(name="other"), zero]}, f"--kube-version={release}.0")
    made = rendered.all("HorizontalPodAutoscaler") + rendered.all("ScaledObject")
    assert len(made) == 3
    assert [fault for one in made for fault in schemas[release].faults(one)] == []


REFUSED: Mapping[str, tuple[list[Object], str]] = {
    "no name": (
        [{"maxReplicas": 2, "metrics": [GPU]}],
        "autoscaling[0]: name is missing, the name of the workload to scale",
    ),
    "no name in the second": ([entry(), entry(name="")], "autoscaling[1]: name is missing"),
    "min over max": (
        [entry(minReplicas=5)],
        "autoscaling[0] (inference/llm): minReplicas 5 is more than maxReplicas 4",
    ),
    "no max": ([{"name": "llm", "metrics": [GPU]}], "autoscaling[0] (monitoring/llm): maxReplicas is missing"),
    "half a replica": ([entry(maxReplicas=1.5)], "maxReplicas is 1.5, but must be a whole number"),
    "no replicas at all": ([entry(minReplicas=0, maxReplicas=0)], "maxReplicas must be 1 or more"),
    "no metrics": ([entry(metrics=[])], "autoscaling[0] (inference/llm): metrics is empty"),
    "two of one workload": (
        [entry(), keda(metrics=[{"preset": "vllm"}])],
        "[0] and autoscaling[1] both scale inference/llm: two autoscalers of one workload work against each other",
    ),
    "two of one workload by the default namespace": (
        [entry(namespace=NAMESPACE), {"name": "llm", "maxReplicas": 2, "metrics": [GPU]}],
        "autoscaling[0] and autoscaling[1] both scale monitoring/llm",
    ),
    "an unknown type": ([entry(type="vpa")], "type is vpa, but must be hpa or keda"),
    "an unknown preset": (
        [entry(metrics=[{"preset": "vlm"}])],
        "metrics[0]: unknown preset vlm; the presets are gpu_utilization, ",
    ),
    "an unknown signal": (
        [entry(metrics=[{"preset": "tgi", "signal": "cache"}])],
        "metrics[0]: preset tgi has no signal cache, but inference_concurrency, ",
    ),
    "a signal of a GPU": ([entry(metrics=[{**GPU, "signal": "x"}])], "preset gpu_utilization is one metric"),
    "a metric twice": ([entry(metrics=[GPU, GPU])], "metrics[1]: gpu_utilization is repeated"),
    "no threshold where there is no default": (
        [entry(metrics=[{"preset": "gpu_power_watts"}])],
        "metrics[0]: threshold is missing, and gpu_power_watts has no default",
    ),
    "a threshold of 0": ([entry(metrics=[{**GPU, "threshold": 0}])], "metrics[0]: threshold is 0, but must be more"),
    "a threshold that is none": (
        [entry(metrics=[{**GPU, "threshold": "high"}])],
        "threshold is high, but must be a number",
    ),
    "a query for an HPA": ([entry(metrics=[{"query": "x", "threshold": 1}])], "metrics[0] needs preset, or metric"),
    "a pod metric for KEDA": ([keda(metrics=[{"metric": "x", "threshold": 1}])], "metrics[0] needs preset, or query"),
    "an HPA to zero": ([entry(minReplicas=0)], "an HPA does not scale to zero; use type: keda, or minReplicas 1"),
    "zero without a signal": (
        [keda(minReplicas=0)],
        "minReplicas 0 needs activation.query, a signal that exists without pods",
    ),
    "a signal without zero": (
        [keda(activation={"query": "x"})],
        "activation wakes a workload from zero, but minReplicas is not 0",
    ),
    "an HPA with a fallback": ([entry(fallback={"replicas": 2})], "fallback is only for KEDA; an HPA does not have it"),
    "a trigger with the name of the one that wakes": (
        [
            keda(
                minReplicas=0, activation={"query": "x"}, metrics=[{"query": "y", "name": "activation", "threshold": 1}]
            )
        ],
        "metrics[0]: activation is repeated",
    ),
    "a kind of nowhere": ([entry(kind="Rollout")], "kind Rollout needs an apiVersion"),
}


@pytest.mark.parametrize("key", ["autoscaling", "servingMonitors"])
@pytest.mark.parametrize("name", ["A_b", "llm-", "a..b", "-a"])
def test_a_name_that_no_workload_can_have_is_refused(name: str, key: str, helm: Helm) -> None:
    one = entry(name=name) if key == "autoscaling" else {"name": name}
    with pytest.raises(Refused, match=re.escape(f"at '/{key}/0/name': '{name}' does not match pattern")):
        helm.template({key: [one]})


def test_a_workload_s_name_may_have_dots(helm: Helm) -> None:
    assert hpa_of(helm, entry(name="v1.2"))["metadata"]["name"] == "v1.2-hpa"


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_in_one_sentence(case: str, helm: Helm) -> None:
    entries, sentence = REFUSED[case]
    with pytest.raises(Refused) as refused:
        helm.template({"autoscaling": entries})
    [line] = [line for line in str(refused.value).splitlines() if "autoscaling[" in line]
    assert sentence in line


def test_one_name_in_two_namespaces_is_two_workloads(helm: Helm) -> None:
    rendered = helm.template({"autoscaling": [entry(), entry(namespace="other")]})
    assert {one["metadata"]["namespace"] for one in rendered.all("HorizontalPodAutoscaler")} == {"inference", "other"}

"""Values that can't work: each ends the rendering with one sentence that names the key, or renders right after all."""

import re
from typing import Any

import pytest

from tests.chart.helm import Helm, Refused
from tests.chart.values import merged

TARGET = {"name": "llm", "maxReplicas": 4, "metrics": [{"preset": "gpu_utilization"}]}
_SCHEMA = re.compile(r"Error: values don't meet .*\ndcgm-exporter:\n- (.*)")
_HINT = "Use --debug flag to render out invalid YAML"
_TEMPLATE = re.compile(r"Error: execution error at \(dcgm-exporter/templates/[a-z/.-]+:\d+:\d+\): (.*)")


def sentence(helm: Helm, values: dict[str, Any]) -> str:
    """Return the one sentence with which these values are refused."""
    with pytest.raises(Refused) as refused:
        helm.template(values)
    said = re.sub(r"^level=INFO .*\n", "", str(refused.value)).removesuffix(_HINT).strip()
    found = _SCHEMA.fullmatch(said) or _TEMPLATE.fullmatch(said)
    assert found, said
    return found[1]


def target(**changes: object) -> dict[str, Any]:
    """Return values with one autoscaling target; a change to None takes the key away."""
    entry = {key: value for key, value in merged(TARGET, changes).items() if value is not None}
    return {"autoscaling": [entry]}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kubernetes": {"enablePodLabel": True}}, "at '/kubernetes': additional properties 'enablePodLabel'"),
        (target(minReplicas=5), "autoscaling[0] (monitoring/llm): minReplicas 5 is more than maxReplicas 4"),
        (target(name=None), "autoscaling[0]: name is missing"),
        (target(name=""), "autoscaling[0]: name is missing"),
        (target(maxReplicas=None), "autoscaling[0] (monitoring/llm): maxReplicas is missing"),
        (target(metrics=[]), "autoscaling[0] (monitoring/llm): metrics is empty"),
        (target(metric="gpu_utilization"), "at '/autoscaling/0': additional properties 'metric'"),
        (target(metrics=[{"preset": "gpu_utilisation"}]), "metrics[0]: there is no preset gpu_utilisation, but "),
        (target(metrics=[{"preset": "gpu_utilization", "threshold": "50%"}]), "metrics[0]: threshold is 50%"),
        (target(metrics=[{"preset": "gpu_utilization", "threshold": 0}]), "metrics[0]: threshold is 0"),
        (target(metrics=[{"preset": "gpu_power_watts"}]), "metrics[0]: threshold is missing"),
        (target(type="both"), "type is both, and has to be hpa or keda"),
        (target(minReplicas=0), "an HPA does not scale to zero"),
        (target(minReplicas=0, type="keda"), "minReplicas 0 needs activation.query"),
        ({"autoscaling": [TARGET, {**TARGET, "type": "keda"}]}, "autoscaling[0] and autoscaling[1] both scale"),
        ({"autoscaling": {"llm": TARGET}}, "at '/autoscaling': got object, want array"),
        ({"servingMonitors": [{"runtime": "vllm"}]}, "servingMonitors[0]: name is missing"),
        (
            {"servingMonitors": [{"name": "x", "runtime": "vlm"}]},
            "servingMonitors[0] (monitoring/x): there is no runtime",
        ),
        ({"tlsServerConfig": {"enabled": True}}, "tlsServerConfig.enabled: "),
        ({"basicAuth": {"users": {"ann": "secret"}}}, "basicAuth.users: "),
        ({"mock": {"enabled": True, "pods": "kubelet"}, "kubernetes": {"podMapping": False}}, "mock.pods: "),
        ({"config": {"collection": {"interval": "5s"}}}, "config: the exporter's configuration file needs version"),
        ({"adapter": {"deploy": True, "rules": {"create": False}}}, "adapter.deploy: "),
        ({"adapter": {"rules": {"extra": [{"seriesQuery": "x"}]}}}, "adapter.rules.extra[0]: "),
        ({"adapter": {"tls": {"mode": "certmanager"}}}, "at '/adapter/tls/mode': value must be one of"),
        ({"prometheus": {"url": "prometheus:9090"}}, "at '/prometheus/url': "),
        ({"alerts": {"disabled": ["GpuTooHot"]}}, "alerts.disabled: "),
        ({"serviceMonitor": {"interval": "15"}}, "at '/serviceMonitor/interval': '15' does not match pattern"),
        ({"nameOverride": "GPU_Exporter"}, "at '/nameOverride': 'GPU_Exporter' does not match pattern"),
        ({"extraHostVolumes": [{"name": "x", "hostPath": "/x", "readOnly": True}]}, "at '/extraHostVolumes/0': "),
        ({"arguments": "-f x"}, "at '/arguments': got string, want array"),
        ({"gpuAccess": {"mode": "device"}}, "at '/gpuAccess/mode': value must be one of"),
    ],
)
def test_what_can_not_work_is_refused_in_one_sentence_that_names_the_key(
    values: dict[str, Any], said: str, helm: Helm
) -> None:
    assert said in sentence(helm, values)


@pytest.mark.parametrize("given", [50, 50.0, "50"])
def test_a_threshold_given_as_a_number_becomes_the_string_that_kubernetes_wants(given: object, helm: Helm) -> None:
    threshold = {"preset": "gpu_utilization", "threshold": given}
    hpa = helm.template(target(metrics=[threshold])).one("HorizontalPodAutoscaler")
    assert hpa["spec"]["metrics"][0]["pods"]["target"] == {"type": "AverageValue", "averageValue": "50"}
    scaled = helm.template(target(type="keda", metrics=[threshold])).one("ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["threshold"] == "50"


def test_as_many_replicas_at_least_as_at_most_are_taken(helm: Helm) -> None:
    hpa = helm.template(target(minReplicas=4)).one("HorizontalPodAutoscaler")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (4, 4)

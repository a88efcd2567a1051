"""Values that can't work: each ends the rendering with one sentence that names the key, or renders right after all."""

import re
from typing import Any

import pytest

from exporter.cli.flag_table import FLAGS, Flag
from tests.chart.helm import Helm, Refused
from tests.chart.values import merged
from tools.chart_known import known, written

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


def env(name: str, value: str) -> dict[str, Any]:
    return {"extraEnv": [{"name": name, "value": value}]}


def mock(**scenario: object) -> dict[str, Any]:
    return {"mock": {"enabled": True, "scenario": scenario}}


def counters(*rows: str) -> dict[str, Any]:
    return {"customMetrics": "\n".join(rows)}


DCP = "/etc/dcgm-exporter/dcp-metrics-included.csv"
USED = "DCGM_FI_DEV_FB_USED, gauge, x"
CONFIG = {
    "version": 1,
    "metrics": {"fields": [{"name": "DCGM_FI_DEV_FB_USED", "prometheusType": "gauge", "help": "x"}]},
}
OWN_FILE = {
    "extraConfigMapVolumes": [{"name": "mine", "configMap": {"name": "mine"}}],
    "extraVolumeMounts": [{"name": "mine", "mountPath": "/etc/dcgm-exporter"}],
}


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
        (
            target(metrics=[{"preset": "gpu_utilisation"}]),
            "metrics[0]: unknown preset gpu_utilisation; the presets are ",
        ),
        (target(metrics=[{"preset": "gpu_utilization", "threshold": "50%"}]), "metrics[0]: threshold is 50%"),
        (target(metrics=[{"preset": "gpu_utilization", "threshold": 0}]), "metrics[0]: threshold is 0"),
        (target(metrics=[{"preset": "gpu_power_watts"}]), "metrics[0]: threshold is missing"),
        (target(type="both"), "type is both, but must be hpa or keda"),
        (target(minReplicas=0), "an HPA does not scale to zero"),
        (target(minReplicas=0, type="keda"), "minReplicas 0 needs activation.query"),
        ({"autoscaling": [TARGET, {**TARGET, "type": "keda"}]}, "autoscaling[0] and autoscaling[1] both scale"),
        ({"autoscaling": {"llm": TARGET}}, "at '/autoscaling': got object, want array"),
        ({"servingMonitors": [{"runtime": "vllm"}]}, "servingMonitors[0]: name is missing"),
        (
            {"servingMonitors": [{"name": "x", "runtime": "vlm"}]},
            "servingMonitors[0] (monitoring/x): unknown runtime",
        ),
        ({"mock": {"enabled": True, "pods": "kubelet"}, "kubernetes": {"podMapping": False}}, "mock.pods: "),
        ({"mock": {"enabled": True, "devicePlugin": True}, "kubernetes": {"podMapping": False}}, "mock.devicePlugin "),
        ({"config": {"collection": {"interval": "5s"}}}, "config: the exporter's configuration file needs version"),
        ({"adapter": {"deploy": True, "rules": {"create": False}}}, "adapter.deploy: "),
        ({"adapter": {"rules": {"extra": [{"seriesQuery": "x"}]}}}, "adapter.rules.extra[0]: "),
        ({"adapter": {"tls": {"mode": "certmanager"}}}, "at '/adapter/tls/mode': value must be one of"),
        ({"prometheus": {"url": "prometheus:9090"}}, "at '/prometheus/url': "),
        ({"alerts": {"disabled": ["GpuTooHot"]}}, "alerts.disabled: "),
        ({"serviceMonitor": {"interval": "15"}}, "at '/serviceMonitor/interval': '15' does not match pattern"),
        ({"serviceMonitor": {"signal": {"enabled": "yes"}}}, "at '/serviceMonitor/signal/enabled': 'yes' does not"),
        ({"busySeconds": "gpu, memory"}, "at '/busySeconds': 'gpu, memory' does not match pattern"),
        ({"utilization": {"signal": "mean"}}, "at '/utilization/signal': value must be one of"),
        ({"nameOverride": "GPU_Exporter"}, "at '/nameOverride': 'GPU_Exporter' does not match pattern"),
        ({"extraHostVolumes": [{"name": "x", "hostPath": "/x", "readOnly": True}]}, "at '/extraHostVolumes/0': "),
        ({"arguments": "-f x"}, "at '/arguments': got string, want array"),
        ({"gpuAccess": {"mode": "device"}}, "at '/gpuAccess/mode': value must be one of"),
        ({"image": {"repository": "nvcr.io/nvidia/k8s/dcgm-exporter"}}, "image.repository: nvcr.io/nvidia/k8s/dcgm"),
        ({"image": {"repository": "mirror/nvidia/k8s/dcgm-exporter"}}, "name your copy of this chart's image"),
        ({"image": {"tag": "4.5.3-4.8.2-distroless"}}, "image.tag: 4.5.3-4.8.2-distroless is a release of NVIDIA's"),
        ({"arguments": ["--kubernets"]}, "arguments: the exporter has no flag --kubernets"),
        ({"arguments": ["-f"]}, "arguments: --f needs a value"),
        ({"arguments": ["--kubernetes", "false"]}, 'arguments: "false" belongs to no flag'),
        ({"arguments": ["--kubernetes=no"]}, 'arguments: --kubernetes takes true or false, not "no"'),
        ({"arguments": ["-c", "5s"]}, "arguments: --c takes a whole number of milliseconds"),
        (env("DCGM_EXPORTER_INTERVAL", "5s"), "extraEnv: DCGM_EXPORTER_INTERVAL takes a whole number"),
        (
            {"arguments": ["-f", "/etc/dcgm-exporter/my.csv"]},
            "arguments: -f /etc/dcgm-exporter/my.csv: there is no such file",
        ),
        ({"arguments": ["--mock=h1000"]}, "arguments: --mock takes a profile or a scenario file"),
        ({"mock": {"enabled": True, "profile": "h1000"}}, "mock.profile is h1000, but must be one of"),
        (mock(gpu=[]), "mock.scenario has no key gpu"),
        (mock(seed=1), "mock.scenario: gpus is missing"),
        (mock(gpus=[{"profile": "t4"}, {"profile": "t5"}]), "mock.scenario: gpus[1]: profile is t5, but must be"),
        (mock(gpus=[{"profile": "h200-pair"}]), "mock.scenario: gpus[0]: profile is h200-pair, but must be"),
        (
            counters("# x", "DCGM_FI_DEV_GPU_UTILL, gauge, x"),
            "customMetrics: line 2: neither DCGM nor the exporter has",
        ),
        (counters(USED) | {"arguments": ["-f", DCP]}, f"customMetrics is never read, because -f {DCP} is"),
        (counters(USED) | env("DCGM_EXPORTER_CONFIGMAP_DATA", "a:b"), "customMetrics is never read, because -m a:b is"),
        (counters(USED) | OWN_FILE, "customMetrics is never read, because the file that extraVolumeMounts put"),
        (counters(USED) | {"healthCounters": True}, "healthCounters: customMetrics is the whole counters file"),
        (
            {"healthCounters": True, "arguments": ["-f", DCP]},
            f"healthCounters: -f {DCP} is the exporter",
        ),
        ({"config": CONFIG}, "config.metrics is never read, because -f /etc/dcgm-exporter/default-counters.csv is"),
        ({"service": {"port": 9500}}, "service.port is 9500, but the exporter listens on :9400"),
        ({"service": {"address": ":9401"}}, "service.port is 9400, but the exporter listens on :9401"),
        ({"arguments": ["-a", ":9401"]}, "service.port is 9400, but the exporter listens on :9401"),
        (env("DCGM_EXPORTER_LISTEN", ":9401"), "service.port is 9400, but the exporter listens on :9401"),
        ({"service": {"address": "127.0.0.1:9400"}}, "service.address: on 127.0.0.1:9400 only the exporter's own pod"),
        (
            {"serviceMonitor": {"interval": "3m", "signal": {"enabled": False}}} | target(),
            "autoscaling[0] (monitoring/llm) scales on GPU metrics, and serviceMonitor.interval 3m is too long",
        ),
        (
            {"serviceMonitor": {"interval": "9m", "signal": {"interval": "3m"}}} | target(),
            "autoscaling[0] (monitoring/llm) scales on GPU metrics, and serviceMonitor.signal.interval 3m is too long",
        ),
        (
            {"dcgmExporter": {"enabled": True, "config": {"data": "x"}, "serviceMonitor": {"enabled": True}}},
            "give its config to customMetrics (the text), or arguments: [-m, NAMESPACE:NAME]",
        ),
        (
            target(metrics=[{"preset": "gpu_utilization", "authenticationRef": {"name": "x"}}]),
            "authenticationRef is only for KEDA",
        ),
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


@pytest.mark.parametrize(
    "values",
    [
        counters("\ufeff# x", "", ' "DCGM_FI_DEV_FB_USED" , gauge, "a, b"', "DCGM_FI_DEV_SM_CLOCK_HERTZ,gauge,x"),
        counters(USED) | env("DCGM_EXPORTER_CONFIGMAP_DATA", "monitoring:exporter-metrics-config-map"),
        counters(USED) | {"arguments": ["-f", "/etc/dcgm-exporter/default-counters.csv", "-c", "5000"]},
        {"arguments": ["-f", "/etc/dcgm-exporter/mine.csv"]} | OWN_FILE,
        {"arguments": ["-f", "/opt/counters.csv", "-kubernetes", "--k=false", "-d", "g:0-3", "--mock", "-v"]},
        {"arguments": ["--mock", "/scenarios/mine.yaml"]},
        {"arguments": [], "config": CONFIG},
        {"service": {"port": 9500, "address": "0.0.0.0:9500"}},
        {"service": {"address": "$(POD_IP):9400"}} | env("POD_IP", "10.0.0.1"),
        {"serviceMonitor": {"interval": "3m"}} | target(metrics=[{"metric": "queue", "threshold": 1}]),
        {"serviceMonitor": {"interval": "2m"}} | target(),
        {"serviceMonitor": {"interval": "3m"}} | target(),  # the signal comes each 2 s
        {"image": {"repository": "registry/dcgm-exporter", "tag": "1.2.3-rc.1"}},
    ],
)
def test_what_can_work_renders(values: dict[str, Any], helm: Helm) -> None:
    assert helm.template(values).all("DaemonSet")


def test_what_the_chart_knows_of_the_exporter_is_as_the_exporter_has_it() -> None:
    for path, text in written().items():
        assert path.read_text(encoding="utf-8") == text, "run `make docs`"


SAMPLES = (
    "true",
    "0",
    "5000",
    "0x10",
    "5s",
    "1m30s",
    ".5h",
    ":9400",
    "[::1]:1",
    "g:0,2-4",
    "f",
    "i:1+g",
    "a:b",
    "none",
)
WORDS = ("uid", "device-name", "classic", "4.8.3", "text", "json", "h100-sxm", "/a/b.yaml", "NONE", "^app$", "-1", "x")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_no_form_of_a_value_is_refused_that_the_exporter_takes(flag: Flag) -> None:
    form = known()["flags"][flag.name].get("form", "")
    for text in (*SAMPLES, *WORDS, flag.default):
        try:
            flag.type.read(text)
        except ValueError:
            continue
        is_fallback = flag.type.placeholder == "PROFILE|FILE"  # any word may be a file; a bare one is none in a pod
        assert is_fallback or not form or not text or re.search(form, text), text

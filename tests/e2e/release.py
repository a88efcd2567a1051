"""The chart's release in the cluster, and what its values are here: mock GPUs in the place of real ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.load import STEERING_PORT

RELEASE = "dcgm-exporter"
EXPORTER = {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/component": RELEASE}
"""Labels of the exporter's pods."""

WHOLE, SHARED, DIVIDED = 6, 1, 1
"""How many GPUs of a node are whole, offered several times, and divided into MIG devices, in this order."""
REPLICAS = 4
MIG = "1g.10gb"
MIG_DEVICES = 7


BURST_S = 1.07
BURSTS_TRUE, BURSTS_INSTANT = "bursts-true", "bursts-instant"
"""Namespaces whose work comes in bursts of this period: a little more than a second, so that collections of each second
meet it at each of its moments."""
INSTANT = "gpu_utilization_instant"
_INSTANT_RULE = {
    "seriesQuery": 'DCGM_FI_DEV_GPU_UTIL{namespace!="",pod!=""}',
    "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
    "name": {"as": INSTANT},
    "metricsQuery": "avg by (<<.GroupBy>>)(<<.Series>>{<<.LabelMatchers>>})",
}
"""What walk-throughs for dcgm-exporter have people write."""


def scenario(namespaces: Sequence[str]) -> dict[str, Any]:
    """Return the GPUs of each node, busy with what the pods of namespaces have to do; it is nothing at first."""
    load = {"kind": "demand"}
    return {
        "demands": {
            name: {"gpus": 0, "pods": {"namespace": name}, "period_s": BURST_S if name.startswith("bursts-") else 0}
            for name in namespaces
        },
        "gpus": [
            {"profile": "h100-sxm", "count": WHOLE + SHARED, "load": load},
            {"profile": "h100-sxm", "count": DIVIDED, "load": load, "mig": [MIG] * MIG_DEVICES},
        ],
    }


def values(namespaces: Sequence[str], scrape_interval: str) -> Mapping[str, Any]:
    """Return the release's values: all else is as the chart has it."""
    return {
        "mock": {"enabled": True, "devicePlugin": True, "scenario": scenario(namespaces)},
        "arguments": ["-f", "/etc/dcgm-exporter/default-counters.csv", f"--mock-steering-port={STEERING_PORT}"],
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "serviceMonitor": {"interval": scrape_interval, "scrapeTimeout": scrape_interval},
        "servingMonitors": [
            {"name": "vllm-inference", "namespace": "inference", "runtime": "vllm"},
            {"name": "model", "namespace": "serverless", "runtime": "vllm"},
            {"name": "gateway", "namespace": "serverless"},
        ],
        "adapter": {"deploy": True, "rules": {"extra": [_INSTANT_RULE]}},
    }


def serverless() -> Mapping[str, Any]:
    """Return a model server that is there only while its gateway has requests."""
    return {
        "name": "model",
        "namespace": "serverless",
        "type": "keda",
        "minReplicas": 0,
        "maxReplicas": 4,
        "pollingInterval": 2,
        "cooldownPeriod": 5,
        "activation": {"query": 'gateway_requests_in_flight{namespace="serverless"}'},
        "metrics": [{"preset": "vllm"}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
    }

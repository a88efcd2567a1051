"""Entries of `autoscaling`, and what the chart makes of one."""

from collections.abc import Mapping
from typing import Any

from tests.chart.helm import Helm, Values

Object = dict[str, Any]
GPU: Object = {"preset": "gpu_utilization"}


def entry(**keys: Any) -> Object:
    """Return an entry for the Deployment `llm` in the namespace `inference`."""
    return {"name": "llm", "namespace": "inference", "maxReplicas": 4, "metrics": [GPU], **keys}


def keda(**keys: Any) -> Object:
    return entry(type="keda", **keys)


def hpa_of(helm: Helm, one: Object) -> Object:
    return helm.template({"autoscaling": [one]}).one("HorizontalPodAutoscaler")


def scaled_object_of(helm: Helm, one: Object, values: Values | None = None) -> Object:
    return helm.template({"autoscaling": [one], **(values or {})}).one("ScaledObject")


def queries_of(scaled_object: Object) -> Mapping[str, str]:
    """Return the queries of a ScaledObject's triggers by name."""
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled_object["spec"]["triggers"]}

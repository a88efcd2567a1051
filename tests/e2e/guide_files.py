"""The files that the guide has people write: they lie in `guide/`, word for word, under the guide's own names.

The guide's ScaledObject alone has no name of a file there. What tests change in one, a function's arguments say.
"""

from pathlib import Path

import yaml

from tests.e2e.api import Object
from tests.e2e.prometheus import NAMESPACE

RULES = "prometheus-adapter"
"""The ConfigMap that prometheus-community's chart makes of the rules in its values."""

FOLDER = Path(__file__).parent / "guide"


def service_monitor() -> Object:
    """Return the ServiceMonitor of step 3."""
    return _read("servicemonitor-dcgm.yaml")


def gpu_autoscaler() -> Object:
    """Return the autoscaler of step 5, of the Deployment `gpu-workload` in `default`."""
    return _read("gpu-hpa.yaml")


def gpu_rules() -> Object:
    """Return the rules of step 4 as the adapter gets them."""
    return _rules("prometheus-adapter-values.yaml")


def serving_rules() -> Object:
    """Return the rules of the guide's serving half, which it says to merge into those of step 4, alone."""
    return _rules("prometheus-adapter-serving-values.yaml")


def merged_rules() -> Object:
    """Return the rules of step 4 and those of the serving half, merged as the guide says."""
    return _rules("prometheus-adapter-values.yaml", "prometheus-adapter-serving-values.yaml")


def serving_autoscaler(stabilization_s: int) -> Object:
    """Return the serving half's autoscaler with another window before it scales down: the guide's is 300 s."""
    printed = _read("inference-queue-hpa.yaml")
    behavior = {"scaleDown": {"stabilizationWindowSeconds": stabilization_s}}
    return {**printed, "spec": {**printed["spec"], "behavior": behavior}}


def _rules(*values: str) -> Object:
    config = yaml.safe_dump({"rules": [rule for one in values for rule in _read(one)["rules"]["custom"]]})
    head = {"name": RULES, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": {"config.yaml": config}}


def _read(name: str) -> Object:
    content: Object = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return content

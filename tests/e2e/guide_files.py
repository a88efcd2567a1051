"""The files that the guide has people write, word for word: they lie in `guide/` under the guide's own names."""

from pathlib import Path

import yaml

from tests.e2e.api import Object
from tests.e2e.prometheus import NAMESPACE

RULES = "prometheus-adapter"
"""The ConfigMap that prometheus-community's chart makes of the rules in its values."""

_FOLDER = Path(__file__).parent / "guide"


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


def _rules(values: str) -> Object:
    config = yaml.safe_dump({"rules": _read(values)["rules"]["custom"]})
    head = {"name": RULES, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": {"config.yaml": config}}


def _read(name: str) -> Object:
    content: Object = yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
    return content

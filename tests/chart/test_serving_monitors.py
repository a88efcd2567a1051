"""`servingMonitors`: model servers are scraped with their own pod and namespace."""

import re
from typing import Any

import pytest

from tests.chart.helm import NAMESPACE, Helm, Refused

Object = dict[str, Any]


def monitor_of(helm: Helm, one: Object, kind: str = "ServiceMonitor", **values: Any) -> Object:
    return helm.template({"servingMonitors": [one], **values}).one(kind, f"{one['name']}-metrics")


def endpoint_of(monitor: Object) -> Object:
    [endpoint] = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
    return dict(endpoint)


def test_guide_s_monitor_comes_of_a_name_and_a_runtime(helm: Helm) -> None:
    made = monitor_of(helm, {"name": "vllm-inference", "namespace": "inference", "runtime": "vllm"})
    assert made["metadata"]["namespace"] == "inference"
    assert made["spec"]["selector"] == {"matchLabels": {"app": "vllm-inference"}}
    assert endpoint_of(made) == {"port": "http", "path": "/metrics", "interval": "15s", "honorLabels": False}


@pytest.mark.parametrize(
    ("runtime", "port", "path"),
    [
        ("vllm", "http", "/metrics"),
        ("sglang", "http", "/metrics"),
        ("tgi", "http", "/metrics"),
        ("triton", "metrics", "/metrics"),
        ("nim", "api", "/v1/metrics"),
    ],
)
def test_each_runtime_is_asked_where_it_answers(runtime: str, port: str, path: str, helm: Helm) -> None:
    endpoint = endpoint_of(monitor_of(helm, {"name": "llm", "runtime": runtime}))
    assert (endpoint["port"], endpoint["path"]) == (port, path)


def test_ray_s_pods_have_no_service_and_are_scraped_themselves(helm: Helm) -> None:
    ray = {"name": "ray", "runtime": "ray-serve", "matchLabels": {"ray.io/cluster": "ray"}}
    made = monitor_of(helm, ray, "PodMonitor")
    assert endpoint_of(made)["port"] == "metrics"
    assert made["spec"]["selector"] == {"matchLabels": {"ray.io/cluster": "ray"}}
    made = monitor_of(helm, {**ray, "port": 8080}, "PodMonitor")
    assert endpoint_of(made)["portNumber"] == 8080


def test_everything_can_be_said_otherwise(helm: Helm) -> None:
    one = {
        "name": "own",
        "port": 8000,
        "path": "/stats",
        "interval": "5s",
        "matchLabels": {"serving": "yes"},
        "additionalLabels": {"release": "mine"},
    }
    made = monitor_of(helm, one, serviceMonitor={"additionalLabels": {"release": "theirs", "team": "gpu"}})
    assert endpoint_of(made) == {"targetPort": 8000, "path": "/stats", "interval": "5s", "honorLabels": False}
    assert made["spec"]["selector"] == {"matchLabels": {"serving": "yes"}}
    assert made["metadata"]["labels"].items() >= {"release": "mine", "team": "gpu"}.items()


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_is_made_even_where_the_operator_is_not_known(kind: str, helm: Helm) -> None:
    """`helm template` knows no CRDs, and whoever names a server wants an error rather than no scrape."""
    assert helm.template({"servingMonitors": [{"name": "llm", "kind": kind}]}, apis=()).one(kind, "llm-metrics")


@pytest.mark.parametrize(
    ("monitors", "sentence"),
    [
        ([{"runtime": "vllm"}], "servingMonitors[0]: name is missing, the name of the model server"),
        (
            [{"name": "a", "runtime": "vlm"}],
            f"servingMonitors[0] ({NAMESPACE}/a): unknown runtime vlm; the runtimes are nim, ",
        ),
        (
            [{"name": "a", "runtime": "ray-serve"}],
            "matchLabels is missing, and ray-serve's pods have no label app; ray.io/cluster names them",
        ),
        (
            [{"name": "a"}, {"name": "a", "port": "b"}],
            f"servingMonitors[0] and servingMonitors[1] both scrape {NAMESPACE}/a",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(monitors: list[Object], sentence: str, helm: Helm) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        helm.template({"servingMonitors": monitors})

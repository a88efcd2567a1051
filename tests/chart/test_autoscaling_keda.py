"""ScaledObjects: what holds them where metrics are missing, and what their queries answer, by the real engine."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chart.alert_cases import STYLES
from tests.chart.gpu_fleet import scraped
from tests.chart.helm import Helm
from tests.chart.promql import Question, Series, contradictions
from tests.chart.targets import GPU, keda, queries_of, scaled_object_of


def test_keda_takes_no_answer_for_a_fault_and_holds_what_runs(helm: Helm) -> None:
    spec = scaled_object_of(helm, keda(minReplicas=2, metrics=[GPU, {"preset": "vllm"}]))["spec"]
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"}
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert "metricName" not in trigger["metadata"]
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert trigger["metricType"] == "AverageValue"
    assert "cooldownPeriod" not in spec


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ({"minReplicas": 0, "activation": {"query": "x"}}, 300),
        ({"minReplicas": 0, "activation": {"query": "x"}, "cooldownPeriod": 0}, 0),
        ({"cooldownPeriod": 0}, 0),
        ({"cooldownPeriod": 600}, 600),
    ],
)
def test_the_last_replica_goes_after_as_long_as_the_values_say(
    given: Mapping[str, object], rendered: int, helm: Helm
) -> None:
    assert scaled_object_of(helm, keda(**given))["spec"]["cooldownPeriod"] == rendered


def test_a_workload_that_keeps_a_replica_may_have_a_trigger_called_activation(helm: Helm) -> None:
    made = scaled_object_of(helm, keda(metrics=[{"query": "x", "name": "activation", "threshold": 1}]))
    assert queries_of(made) == {"activation": "x"}


def test_keda_asks_the_prometheus_of_the_values(helm: Helm) -> None:
    [trigger] = scaled_object_of(helm, keda(), {"prometheus": {"url": "http://thanos:10902"}})["spec"]["triggers"]
    assert trigger["metadata"]["serverAddress"] == "http://thanos:10902"


def test_a_fallback_of_the_user_takes_the_place_of_the_chart_s(helm: Helm) -> None:
    own = {"failureThreshold": 5, "replicas": 4, "behavior": "static"}
    assert scaled_object_of(helm, keda(fallback=own))["spec"]["fallback"] == own


def test_a_scaled_object_is_made_even_where_keda_is_not_known(helm: Helm) -> None:
    """`helm template` knows no CRDs, and whoever writes `type: keda` wants an error rather than no autoscaler."""
    assert helm.template({"autoscaling": [keda()]}, apis=()).one("ScaledObject")


PODS = {"trainer": "trainer-7d9fbb4c8-x2x4z", "left": "llm-7d9fbb4c8-bcdfg", "right": "llm-66f7c9d4b-x2x4z"}


def fleet(style: str, *, is_renamed: bool, job: str = "a") -> Series:
    """Return the fleet of the adapter's tests with its pods named as a Deployment's: left and right are llm's."""
    series = scraped(STYLES[style].names, 0, is_renamed=is_renamed, job=job)
    named = {}
    for name, values in series.items():
        for short, long in PODS.items():
            name = name.replace(f'"{short}"', f'"{long}"')  # noqa: PLW2901 - one name after the other
        named[name] = values
    return named


@pytest.mark.parametrize("style", STYLES)
def test_keda_gets_the_sum_over_the_pods_of_the_mean_over_their_gpus(style: str, helm: Helm, tmp_path: Path) -> None:
    """KEDA's HPA divides it by the number of pods, as an HPA does with pod metrics."""
    llm, trainer = (
        queries_of(scaled_object_of(helm, keda(name=name), STYLES[style].values))["gpu_utilization"]
        for name in ("llm", "trainer")
    )
    questions = [Question(llm, {"{}": 120}), Question(trainer, {"{}": 40})]
    assert contradictions(fleet(style, is_renamed=False), questions, tmp_path) == ""


def test_keda_s_query_knows_renamed_labels_and_counts_nothing_twice(helm: Helm, tmp_path: Path) -> None:
    question = Question(queries_of(scaled_object_of(helm, keda()))["gpu_utilization"], {"{}": 120})
    renamed, plain = fleet("classic", is_renamed=True, job="b"), fleet("classic", is_renamed=False)
    for series in (renamed, {**renamed, **plain}):
        assert contradictions(series, [question], tmp_path) == ""


@pytest.mark.parametrize(
    ("kind", "name", "own", "others"),
    [
        (
            "Deployment",
            "llm",
            ["llm-7d9fbb4c8-x2x4z", "llm-6bd8-bcdfg"],
            ["llm-large-7d9fbb4c8-x2x4z", "llm-bench-x2x4z", "llm-0", "my-llm-7d9fbb4c8-x2x4z", "llm-22-44"],
        ),
        ("StatefulSet", "llm", ["llm-0", "llm-12"], ["llm-large-0", "llm-7d9fbb4c8-x2x4z", "llm-0-0"]),
        ("ReplicaSet", "llm", ["llm-x2x4z"], ["my-llm-x2x4z"]),
        ("Deployment", "v1.2", ["v1.2-7d9fbb4c8-x2x4z"], ["v1x2-7d9fbb4c8-x2x4z"]),
        ("Deployment", "n" * 60, ["n" * 58 + "x2x4z"], ["n" * 57 + "-7d9fbb4c8-x2x4z"]),
    ],
)
def test_keda_s_query_knows_a_workload_s_pods_by_their_names(
    kind: str, name: str, own: list[str], others: list[str], helm: Helm
) -> None:
    made = scaled_object_of(helm, keda(name=name, kind=kind, metrics=[{"preset": "tgi"}]))
    [pattern] = set(re.findall(r'pod=~"([^"]*)"', queries_of(made)["inference_queue_depth"]))
    assert [pod for pod in own + others if re.fullmatch(pattern, pod)] == own


def test_the_user_can_say_which_pods_are_meant(helm: Helm) -> None:
    [query] = queries_of(scaled_object_of(helm, keda(pods="blue-.*"))).values()
    assert 'pod=~"blue-.*"' in query


def test_a_query_of_the_user_is_asked_as_it_is(helm: Helm) -> None:
    query = "sum(app_queue{name='a'})\n  # of all"
    made = scaled_object_of(helm, keda(metrics=[{"query": query, "name": "queue", "threshold": 1}]))
    assert queries_of(made) == {"queue": query}


ZERO = keda(minReplicas=0, metrics=[{"preset": "tgi"}], activation={"query": "gateway_requests", "threshold": 0.5})
WAITING = {'tgi_queue_size{namespace="inference",pod="llm-7d9fbb4c8-x2x4z"}': "7x40"}
ASKED, QUIET = {"gateway_requests": "2x40"}, {"gateway_requests": "0x40"}


@pytest.mark.parametrize(
    ("series", "activation", "load"),
    [
        pytest.param(QUIET, 0, 0, id="no pods, nobody asks: both are 0, so it stays at zero"),
        pytest.param(ASKED, 1, None, id="no pods, somebody asks: it wakes"),
        pytest.param({**ASKED, **WAITING}, 1, 7, id="pods answer: their load counts"),
        pytest.param({**QUIET, **WAITING}, 0, 7, id="pods still work, nobody new asks: their load counts"),
        pytest.param(
            ASKED, 1, None, id="pods run and are silent while somebody asks: not known, so the fallback holds"
        ),
        pytest.param({}, None, None, id="the activation signal is gone: not known, so nothing is taken to zero"),
        pytest.param(WAITING, None, 7, id="only pods answer: their load counts"),
    ],
)
def test_at_zero_missing_pods_are_known_to_be_idle_only_while_nobody_asks(
    series: Series, activation: float | None, load: float | None, helm: Helm, tmp_path: Path
) -> None:
    queries = queries_of(scaled_object_of(helm, ZERO))
    expected = {"activation": activation, "inference_queue_depth": load}
    questions = [Question(queries[name], {} if value is None else {"{}": value}) for name, value in expected.items()]
    assert contradictions(series, questions, tmp_path) == ""


def test_the_activation_never_asks_for_more_than_one_replica(helm: Helm) -> None:
    [activation, _] = scaled_object_of(helm, ZERO)["spec"]["triggers"]
    assert activation["name"] == "activation"
    assert " > bool 0.5" in activation["metadata"]["query"]
    assert activation["metadata"]["threshold"] == "1"


def test_on_the_way_to_zero_a_service_gets_its_time(helm: Helm) -> None:
    assert scaled_object_of(helm, ZERO)["spec"]["cooldownPeriod"] == 300
    assert scaled_object_of(helm, {**ZERO, "cooldownPeriod": 900})["spec"]["cooldownPeriod"] == 900
    assert scaled_object_of(helm, ZERO)["spec"]["fallback"]["replicas"] == 1

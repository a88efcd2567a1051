"""The serving metrics: what the real engine makes of model servers' series, for the adapter and for KEDA alike."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.chart.adapter_rules import Rule, read_rules
from tests.chart.helm import CHART, Helm, Values
from tests.chart.promql import Question, Series, contradictions

PRESETS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (CHART / "files" / "presets").glob("*")
}
IDLE = "0x40"


def server(pod: str, samples: Mapping[str, str], job: str = "a") -> Iterator[tuple[str, str]]:
    """Yield a server's series as a ServiceMonitor brings them, of `name` or `name{own labels}`."""
    target = f'namespace="inference",pod="{pod}",job="{job}",service="{job}",endpoint="http",container="llm",'
    return of_target(f'{target}instance="{pod}:8000"', samples)


def by_annotations(pod: str, samples: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the same as the usual job for annotated pods brings them, with the pod's labels."""
    target = f'namespace="inference",pod="{pod}",job="kubernetes-pods",app="llm",pod_template_hash="7d9f",node="n1",'
    return of_target(f'{target}instance="{pod}:8000"', samples)


def of_target(target: str, samples: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, values in samples.items():
        bare, _, own = name.removesuffix("}").partition("{")
        yield f"{bare}{{{','.join(filter(None, (target, own)))}}}", values


def histogram(name: str, labels: str = "") -> dict[str, str]:
    """Return a histogram of ten observations each interval, all between 1 and 2: the 95th percentile is 1.95."""
    observed = "0+10x40"
    own = f"{labels}," if labels else ""
    buckets = {
        f'{name}_bucket{{{own}le="{le}"}}': values for le, values in (("1", IDLE), ("2", observed), ("+Inf", observed))
    }
    return {**buckets, f"{name}_count{{{labels}}}": observed}


def quiet_histogram(name: str) -> dict[str, str]:
    """Return a histogram that has some observations and gets no new ones."""
    return {**{f'{name}_bucket{{le="{le}"}}': "5x40" for le in ("1", "2", "+Inf")}, f"{name}_count": "5x40"}


Expected = Mapping[str, float]
CASES: Mapping[str, tuple[str, Mapping[str, str], Expected]] = {
    "vllm: engines have queues of their own": (
        "vllm",
        {
            'vllm:num_requests_waiting{engine="0"}': "3x40",
            'vllm:num_requests_waiting{engine="1"}': "4x40",
            'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"}': "3x40",
            'vllm:num_requests_running{engine="0"}': "10x40",
            'vllm:num_requests_running{engine="1"}': "5x40",
            'vllm:kv_cache_usage_perc{engine="0"}': "0.5x40",
            'vllm:kv_cache_usage_perc{engine="1"}': "0.9x40",
            'vllm:generation_tokens_total{engine="0"}': "0+150x40",
            'vllm:generation_tokens_total{engine="1"}': "0+300x40",
            **histogram("vllm:time_to_first_token_seconds"),
            **histogram("vllm:e2e_request_latency_seconds"),
        },
        {
            "inference_queue_depth": 7,
            "inference_concurrency": 22,
            "inference_cache_usage_ratio": 0.9,
            "inference_tokens_per_second": 30,
            "inference_time_to_first_token_p95_seconds": 1.95,
            "inference_request_latency_p95_seconds": 1.95,
        },
    ),
    "vllm up to 0.10: the cache's old name": (
        "vllm",
        {"vllm:gpu_cache_usage_perc": "0.6x40"},
        {"inference_cache_usage_ratio": 0.6},
    ),
    "vllm 0.10: both of the cache's names": (
        "vllm",
        {"vllm:gpu_cache_usage_perc": "0.6x40", "vllm:kv_cache_usage_perc": "0.6x40"},
        {"inference_cache_usage_ratio": 0.6},
    ),
    "vllm that nobody asks: a percentile of nothing is no number, and load is 0": (
        "vllm",
        {
            "vllm:num_requests_waiting": IDLE,
            "vllm:num_requests_running": IDLE,
            **quiet_histogram("vllm:time_to_first_token_seconds"),
            **quiet_histogram("vllm:e2e_request_latency_seconds"),
        },
        {
            "inference_queue_depth": 0,
            "inference_concurrency": 0,
            "inference_time_to_first_token_p95_seconds": 0,
            "inference_request_latency_p95_seconds": 0,
        },
    ),
    "vllm that is full and completes nothing: its latency is not known": (
        "vllm",
        {
            "vllm:num_requests_waiting": "50x40",
            "vllm:num_requests_running": "100x40",
            **quiet_histogram("vllm:time_to_first_token_seconds"),
            **quiet_histogram("vllm:e2e_request_latency_seconds"),
        },
        {"inference_queue_depth": 50, "inference_concurrency": 150},
    ),
    "vllm of which one engine works on what never ends, and another rests": (
        "vllm",
        {
            'vllm:num_requests_waiting{engine="0"}': IDLE,
            'vllm:num_requests_running{engine="0"}': "1x40",
            'vllm:num_requests_waiting{engine="1"}': IDLE,
            'vllm:num_requests_running{engine="1"}': IDLE,
            **quiet_histogram("vllm:time_to_first_token_seconds"),
        },
        {"inference_queue_depth": 0, "inference_concurrency": 1},
    ),
    "sglang: ranks of tensor parallelism repeat, those of data parallelism do not": (
        "sglang",
        {
            'sglang:num_queue_reqs{dp_rank="0",tp_rank="0"}': "2x40",
            'sglang:num_queue_reqs{dp_rank="0",tp_rank="1"}': "2x40",
            'sglang:num_queue_reqs{dp_rank="1",tp_rank="0"}': "5x40",
            'sglang:num_running_reqs{dp_rank="0",tp_rank="0"}': "10x40",
            'sglang:num_running_reqs{dp_rank="0",tp_rank="1"}': "10x40",
            'sglang:token_usage{dp_rank="0",tp_rank="0"}': "0.25x40",
            'sglang:generation_tokens_total{is_streaming="True"}': "0+150x40",
            'sglang:generation_tokens_total{is_streaming="False"}': "0+150x40",
            **histogram("sglang:time_to_first_token_seconds"),
            **histogram("sglang:e2e_request_latency_seconds"),
        },
        {
            "inference_queue_depth": 7,
            "inference_concurrency": 17,
            "inference_cache_usage_ratio": 0.25,
            "inference_tokens_per_second": 20,
            "inference_time_to_first_token_p95_seconds": 1.95,
            "inference_request_latency_p95_seconds": 1.95,
        },
    ),
    "sglang with priorities: the total has none": (
        "sglang",
        {
            'sglang:num_queue_reqs{priority=""}': "6x40",
            'sglang:num_queue_reqs{priority="1"}': "4x40",
            'sglang:num_queue_reqs{priority="2"}': "2x40",
        },
        {"inference_queue_depth": 6},
    ),
    "tgi": (
        "tgi",
        {
            "tgi_queue_size": "3x40",
            "tgi_batch_current_size": "8x40",
            "tgi_request_generated_tokens_sum": "0+600x40",
            **histogram("tgi_request_duration"),
        },
        {
            "inference_queue_depth": 3,
            "inference_concurrency": 11,
            "inference_tokens_per_second": 40,
            "inference_request_latency_p95_seconds": 1.95,
        },
    ),
    "triton: models add up, and request time is requests in the server": (
        "triton",
        {
            'nv_inference_pending_request_count{model="a",version="1"}': "2x40",
            'nv_inference_pending_request_count{model="b",version="1"}': "3x40",
            'nv_inference_request_duration_us{model="a",version="1"}': "0+60000000x40",
            'nv_trt_llm_kv_cache_block_metrics{model="a",kv_cache_block_type="fraction"}': "0.75x40",
            'nv_trt_llm_kv_cache_block_metrics{model="a",kv_cache_block_type="max"}': "5000x40",
        },
        {"inference_queue_depth": 5, "inference_concurrency": 4, "inference_cache_usage_ratio": 0.75},
    ),
    "triton with TensorRT-LLM: the queue is inside": (
        "triton",
        {
            'nv_inference_pending_request_count{model="ensemble",version="1"}': IDLE,
            'nv_inference_request_duration_us{model="tensorrt_llm",version="1"}': "5000000x40",
            'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"}': "37x40",
            'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"}': "16x40",
            'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="active",version="1"}': "53x40",
            'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"}': "512x40",
        },
        {"inference_queue_depth": 37, "inference_concurrency": 53},
    ),
    "triton with an older TensorRT-LLM, which tells nothing of its queue": (
        "triton",
        {
            'nv_inference_pending_request_count{model="ensemble",version="1"}': IDLE,
            'nv_inference_request_duration_us{model="tensorrt_llm",version="1"}': "0+60000000x40",
            'nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"}': "16x40",
        },
        {"inference_concurrency": 4},
    ),
    "triton with the vLLM backend that tells some of the engine's series, and not its queue": (
        "triton",
        {
            'nv_inference_pending_request_count{model="llm",version="1"}': IDLE,
            'nv_inference_request_duration_us{model="llm",version="1"}': "5000000x40",
            'vllm:prompt_tokens_total{model="llm",version="1"}': "0+150x40",
        },
        {},
    ),
    "triton whose requests all take longer than the window": (
        "triton",
        {
            'nv_inference_pending_request_count{model="llm",version="1"}': "4x40",
            'nv_inference_request_duration_us{model="llm",version="1"}': "5000000x40",
        },
        {"inference_queue_depth": 4},
    ),
    "triton with the vLLM backend: Triton's own queue is always empty, so the engine's counts": (
        "triton",
        {
            'nv_inference_pending_request_count{model="llm",version="1"}': IDLE,
            'vllm:num_requests_waiting{model="llm",version="1"}': "40x40",
        },
        {"inference_queue_depth": 40},
    ),
    "triton with an ensemble: a request counts in the ensemble and in the step that works on it": (
        "triton",
        {
            'nv_inference_request_duration_us{model="ensemble",version="1"}': "0+60000000x40",
            'nv_inference_request_duration_us{model="tensorrt_llm",version="1"}': "0+60000000x40",
        },
        {"inference_concurrency": 8},
    ),
    "nim 1.x has names of its own": (
        "nim",
        {
            "num_requests_waiting": "2x40",
            "num_requests_running": "7x40",
            "gpu_cache_usage_perc": "0.5x40",
            "generation_tokens_total": "0+150x40",
            **histogram("time_to_first_token_seconds"),
            **histogram("e2e_request_latency_seconds"),
        },
        {
            "inference_queue_depth": 2,
            "inference_concurrency": 9,
            "inference_cache_usage_ratio": 0.5,
            "inference_tokens_per_second": 10,
            "inference_time_to_first_token_p95_seconds": 1.95,
            "inference_request_latency_p95_seconds": 1.95,
        },
    ),
    "nim 2: vLLM's names": ("nim", {"vllm:num_requests_waiting": "2x40"}, {"inference_queue_depth": 2}),
    "nim 2.1: SGLang's names": ("nim", {"sglang:num_queue_reqs": "2x40"}, {"inference_queue_depth": 2}),
    "ray serve with vLLM": (
        "ray-serve",
        {
            'ray_serve_replica_processing_queries{replica="a"}': "3x40",
            'ray_serve_replica_processing_queries{replica="b"}': "4x40",
            'ray_serve_deployment_queued_queries{deployment="d"}': "99x40",
            'ray_vllm_num_requests_waiting{ReplicaId="a"}': "2x40",
            'ray_vllm_kv_cache_usage_perc{ReplicaId="a"}': "0.5x40",
            'ray_vllm_generation_tokens_total{ReplicaId="a"}': "0+150x40",
            **histogram("ray_vllm_time_to_first_token_seconds"),
        },
        {
            "inference_queue_depth": 2,
            "inference_concurrency": 7,
            "inference_cache_usage_ratio": 0.5,
            "inference_tokens_per_second": 10,
            "inference_time_to_first_token_p95_seconds": 1.95,
        },
    ),
    "ray serve that is full and completes nothing": (
        "ray-serve",
        {
            'ray_serve_replica_processing_queries{replica="a"}': "8x40",
            **quiet_histogram("ray_serve_deployment_processing_latency_ms"),
        },
        {"inference_concurrency": 8},
    ),
    "ray serve's own latency is in milliseconds": (
        "ray-serve",
        histogram("ray_serve_deployment_processing_latency_ms"),
        {"inference_request_latency_p95_seconds": 0.00195},
    ),
    "ray serve with an older vLLM": (
        "ray-serve",
        {"ray_vllm:num_requests_waiting": "2x40", "ray_vllm:gpu_cache_usage_perc": "0.5x40"},
        {"inference_queue_depth": 2, "inference_cache_usage_ratio": 0.5},
    ),
}


def serving_rules(helm: Helm) -> Mapping[str, Rule]:
    return {rule.metric: rule for rule in read_rules(helm.template()) if not rule.metric.startswith("gpu_")}


def pod_of(case: str) -> str:
    return re.sub("[^a-z0-9]+", "-", case.lower())


def everything() -> Series:
    """Return the series of all cases in one cluster."""
    return {name: value for case, (_, samples, _) in CASES.items() for name, value in server(pod_of(case), samples)}


def test_one_rule_of_a_metric_serves_all_runtimes_of_a_cluster_at_once(helm: Helm, tmp_path: Path) -> None:
    """The last rule of a name counts, for the whole cluster, so a rule for each runtime would serve one of them."""
    rules = serving_rules(helm)
    pods = [pod_of(case) for case in CASES]
    questions = []
    for metric, rule in rules.items():
        answers = {f'{{pod="{pod_of(case)}"}}': one[metric] for case, (_, _, one) in CASES.items() if metric in one}
        questions.append(Question(rule.fill("inference", *pods), answers))
    assert contradictions(everything(), questions, tmp_path) == ""


@pytest.mark.parametrize("case", CASES)
def test_a_server_that_two_services_and_the_job_for_annotations_scrape_counts_once(
    case: str, helm: Helm, tmp_path: Path
) -> None:
    _, samples, expected = CASES[case]
    twice = dict(server("pod", samples)) | dict(server("pod", samples, job="headless"))
    rules = serving_rules(helm)
    questions = [
        Question(rule.fill("inference", "pod"), {'{pod="pod"}': expected[metric]} if metric in expected else {})
        for metric, rule in rules.items()
    ]
    assert contradictions(twice | dict(by_annotations("pod", samples)), questions, tmp_path) == ""


def test_two_servers_in_one_pod_both_count(helm: Helm, tmp_path: Path) -> None:
    series = dict(server("pod", {"vllm:num_requests_waiting": "3x40"}))
    series |= {name.replace(":8000", ":8001"): values for name, values in series.items()}
    question = Question(serving_rules(helm)["inference_queue_depth"].fill("inference", "pod"), {'{pod="pod"}': 6})
    assert contradictions(series, [question], tmp_path) == ""


def test_each_series_that_answers_is_one_that_makes_the_metric_known(helm: Helm) -> None:
    """The adapter knows a metric by the rule's seriesQuery; a server whose series that one lacks would have none."""
    rules = serving_rules(helm)
    for preset in PRESETS.values():
        for metric, signal in preset["signals"].items():
            for way in signal["series"]:
                for name in (one.partition("{")[0] for one in way["of"]):
                    assert name in rules[metric].query
                    assert any(known in rules[metric].series for known in (f'"{name}', f"|{name}"))


def keda_query(helm: Helm, name: str, metric: Values) -> str:
    entry = {
        "name": name,
        "namespace": "inference",
        "type": "keda",
        "maxReplicas": 8,
        "metrics": [{**metric, "threshold": 5}],
    }
    [trigger] = helm.template({"autoscaling": [entry]}).one("ScaledObject")["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


@pytest.mark.parametrize("case", CASES)
def test_keda_asks_for_the_sum_over_a_workload_s_pods(case: str, helm: Helm, tmp_path: Path) -> None:
    runtime, samples, expected = CASES[case]
    series: dict[str, str] = {}
    for pod in ("llm-7d9fbb4c8-x2x4z", "llm-7d9fbb4c8-bcdfg", "llm-large-7d9fbb4c8-bcdfg", "llm-0"):
        series |= dict(server(pod, samples))
    questions = [
        Question(keda_query(helm, "llm", {"preset": runtime, "signal": metric}), {"{}": 2 * value})
        for metric, value in expected.items()
    ]
    assert contradictions(series, questions, tmp_path) == ""


def test_each_preset_answers_for_each_of_its_signals_in_a_test() -> None:
    tested = {(runtime, metric) for runtime, _, expected in CASES.values() for metric in expected}
    assert tested == {(name, metric) for name, preset in PRESETS.items() for metric in preset["signals"]}


def test_rates_look_back_over_four_scrapes_of_the_slowest_server(helm: Helm) -> None:
    slow = {"servingMonitors": [{"name": "llm", "namespace": "inference", "runtime": "vllm", "interval": "1m"}]}
    for values, window in (({}, "120s"), (slow, "240s")):
        [rule] = [one for one in read_rules(helm.template(values)) if one.metric == "inference_tokens_per_second"]
        assert f"[{window}]" in rule.query

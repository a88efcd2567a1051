"""The adapter's utilization where exporters count busy seconds, as the chart renders it, by the real engine.

Every GPU's value of the moment is 98 here, so that whoever answers it where seconds are counted is seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chart.adapter_rules import Rule, read_rules
from tests.chart.alert_cases import STYLES
from tests.chart.gpu_fleet import EXPECTED, EXPECTED_OF_SECONDS, PODS, scraped
from tests.chart.helm import Helm, Values
from tests.chart.promql import INTERVAL, Question, Series, contradictions
from tests.chart.targets import keda, queries_of, scaled_object_of

INTERVAL_S = int(INTERVAL.removesuffix("s"))
JOB = "dcgm-exporter"
RING, GPM = ("busy", "observed"), ("graphics_active", "profiling_observed")


class Case(NamedTuple):
    """Series, and what is answered at some scrapes, counted from 0: the utilization by pods."""

    series: Series
    answers: Mapping[float, Mapping[str, float]]


def labels(pod: str, gpu: str = "a", node: str = "node-1", mig: str = "", exporter: str = "ours") -> str:
    own = {"Hostname": node, "UUID": f"GPU-{gpu}", "GPU_I_ID": mig, "instance": exporter}
    holder = {"namespace": "inference" if pod else "", "pod": pod}
    return ",".join(f'{name}="{value}"' for name, value in (own | holder).items() if value)


def moment(of: str, values: str = "98x60") -> Series:
    return {f"DCGM_FI_DEV_GPU_UTIL{{{of}}}": values}


def seconds(of: str, busy: str, observed: str, names: Sequence[str] = RING) -> Series:
    return {
        f"gpu_exporter_{name}_seconds_total{{{of}}}": text for name, text in zip(names, (busy, observed), strict=True)
    }


def both(of: str, busy: str, observed: str, values: str = "98x60") -> Series:
    return {**moment(of, values), **seconds(of, busy, observed)}


HALF = ("100+7.5x60", "100+15x60")
CASES = {
    "a load busy half of each second": Case(
        both(labels("p"), *HALF), {0: {}, 1: {"p": 50}, 2: {"p": 50}, 40: {"p": 50}}
    ),
    "a load of some third, in whole percent": Case(both(labels("p"), "100+5.1x9", "100+15x9"), {2: {"p": 34}}),
    "full load, whose quotient comes out above 1": Case(both(labels("p"), "0.3 15.300001", "100 115"), {1: {"p": 100}}),
    "a lost scrape": Case(
        both(labels("p"), "100 107.5 _ 110.5 114.25", "100 115 _ 145 160", "98 98 _ 98x9"),
        {1: {"p": 50}, 2: {"p": 50}, 3: {"p": 10}, 4: {"p": 25}},
    ),
    "a gap in which nothing was observed": Case(
        both(labels("p"), "100 107.5 107.5x19 115", "100 115 115x19 130"), {1: {"p": 50}, 2: {}, 21: {}, 22: {"p": 50}}
    ),
    "an exporter that is started anew after 10 s, which no counter tells": Case(
        both(labels("p"), "0 10 25", "5 10 25"), {1: {}, 2: {"p": 100}}
    ),
    "an exporter that is started anew, which both tell": Case(
        both(labels("p"), "1000 1007.5 2 9.5", "2000 2015 4 19"), {1: {"p": 50}, 2: {}, 3: {"p": 50}}
    ),
    "a pod that left": Case(
        {
            **both(labels("gone"), "100+15x3 stale", "100+15x3 stale", "98x3 stale"),
            **both(labels("stays", "b"), *HALF),
        },
        {3: {"gone": 100, "stays": 50}, 4: {"stays": 50}, 5: {"stays": 50}},
    ),
    "an exporter that stopped": Case(
        both(labels("p"), "100+15x3 stale", "100+15x3 stale", "98x3 stale"), {3: {"p": 100}, 4: {}, 30: {}}
    ),
    "a Prometheus that stopped": Case(
        both(labels("p"), "100+15x3", "100+15x3", "98x3"), {4: {"p": 100}, 8: {}, 16: {}}
    ),
    "seconds that end while the moment goes on: its turn comes after five minutes": Case(
        both(labels("p"), "100+15x3 stale", "100+15x3 stale"), {3: {"p": 100}, 4: {}, 22: {}, 24: {"p": 98}}
    ),
    "a GPU that changes hands": Case(
        {
            **both(labels("a"), "100+15x3 stale", "100+15x3 stale", "98x3 stale"),
            **both(labels("b"), "_x4 160 167.5", "_x4 160 175", "_x4 98x60"),
        },
        {3: {"a": 100}, 4: {}, 5: {"b": 50}},
    ),
    "a node of dcgm-exporter's beside ours": Case(
        {**both(labels("ours"), *HALF), **moment(labels("theirs", "b", "node-2", exporter="theirs"))},
        {2: {"ours": 50, "theirs": 98}},
    ),
    "dcgm-exporter on the same node": Case(
        {**both(labels("p"), *HALF), **moment(labels("p", exporter="theirs"))}, {0: {}, 2: {"p": 50}}
    ),
    "an upgrade from an exporter without seconds": Case(
        {
            **moment(labels("p", exporter="old"), "98x3 stale"),
            **both(labels("p"), "_x5 0 7.5 15", "_x5 0.1 15.1 30.1", "_x5 98x60"),
        },
        {3: {"p": 98}, 4: {}, 5: {}, 6: {"p": 50}, 7: {"p": 50}},
    ),
    "a pod with two GPUs, of which one is not seen for a while; a third is nobody's": Case(
        {
            **both(labels("p"), *HALF),
            **both(labels("p", "b"), "100+15x3 145x60", "100+15x3 145x60"),
            **both(labels("", "c"), *HALF),
        },
        {3: {"p": 75}, 4: {"p": 50}},
    ),
    "a GPU that pods share": Case({**both(labels("a"), *HALF), **both(labels("b"), *HALF)}, {2: {"a": 50, "b": 50}}),
    "two scrapers of one exporter": Case(
        {**both(labels("p"), *HALF), **both(labels("p", exporter="ours again"), *HALF)}, {2: {"p": 50}}
    ),
    "a MIG instance, by its graphics engine": Case(
        {**moment(labels("p", mig="1")), **seconds(labels("p", mig="1"), *HALF, GPM)}, {0: {}, 2: {"p": 50}}
    ),
    "a whole GPU of which GPM alone is counted": Case(
        {**moment(labels("p")), **seconds(labels("p"), *HALF, GPM)}, {2: {"p": 98}}
    ),
}


TWO_REAL_GPUS = {
    36.87: (
        "0.516297 5.923633 11.529484 16.899407",
        "3.799627 18.799442 33.798903 48.799253",
        "4.401091 19.400964 34.40143 49.400795",
    ),
    100: (
        "20.036219 34.967102 49.905336 64.845155",
        "53.799662 68.798586 83.798757 98.798574",
        "53.402247 68.400417 83.399879 98.399779",
    ),
}
"""By the true load of the one: busy and observed seconds of it, and observed ones of the other, which idled. Two H200s,
scraped each 15 s, by tests/device/true_load_pair.py (docs/true-load.md)."""


def utilization(helm: Helm, values: Values | None = None, metric: str = "gpu_utilization") -> Rule:
    """Return the rule for series whose labels nobody has renamed."""
    return next(rule for rule in read_rules(helm.template(values)) if rule.metric == metric)


def questions(rule: Rule, case: Case, *others: str) -> Iterator[Question]:
    pods = sorted({pod for answer in case.answers.values() for pod in answer} | set(others))
    query = rule.fill("inference", *pods)
    for scrape, answer in case.answers.items():
        yield Question(query, {f'{{pod="{pod}"}}': value for pod, value in answer.items()}, f"{scrape * INTERVAL_S}s")


@pytest.mark.parametrize("case", CASES)
def test_a_pod_has_its_true_load_or_none(case: str, helm: Helm, tmp_path: Path) -> None:
    asked = questions(utilization(helm), CASES[case])
    assert contradictions(CASES[case].series, asked, tmp_path) == ""


@pytest.mark.parametrize("true", TWO_REAL_GPUS)
def test_a_pod_with_two_real_gpus_has_their_mean_and_the_busier_one(true: float, helm: Helm, tmp_path: Path) -> None:
    busy, observed, observed_of_idle = TWO_REAL_GPUS[true]
    series = {
        **both(labels("p"), busy, observed, "98x3"),
        **both(labels("p", "b"), "0x3", observed_of_idle, "0x3"),
    }
    for metric, expected in (("gpu_utilization", true / 2), ("gpu_utilization_max", true)):
        rule = utilization(helm, metric=metric)
        near = f"abs(avg_over_time(({rule.fill('inference', 'p')})[31s:15s]) - {expected}) < bool 1"
        assert contradictions(series, [Question(near, {'{pod="p"}': 1}, "45s")], tmp_path) == ""


@pytest.mark.parametrize(
    ("style", "scraped_style", "is_renamed"),
    [
        *((style, style, False) for style in STYLES),
        *((style, style, True) for style in STYLES if style != "old"),
        ("classic", "4.9", False),
        ("4.9", "4.8.3", False),
    ],
)
def test_each_pod_has_the_true_load_of_its_own_gpus_in_every_spelling(
    style: str, scraped_style: str, is_renamed: bool, helm: Helm, tmp_path: Path
) -> None:
    rules = read_rules(helm.template(STYLES[style].values))
    last = {one.metric: one for one in rules if is_renamed or not one.pod.startswith("exported_")}
    series = scraped(STYLES[scraped_style].names, 0, is_renamed=is_renamed, job=JOB, counts_seconds=True)
    asked = [
        Question(
            last[metric].fill("inference", *PODS),
            {f'{{{last[metric].pod}="{pod}"}}': value for pod, value in values.items()},
        )
        for metric, values in EXPECTED_OF_SECONDS.items()
    ]
    assert contradictions(series, asked, tmp_path) == ""


@pytest.mark.parametrize(
    ("values", "whole", "mig"),
    [
        ({"signal": "true"}, 50, 50),
        ({"signal": True}, 50, 50),
        ({"ofMig": False}, 50, 98),
        ({"signal": "instant"}, 98, 98),
    ],
)
def test_the_values_choose_what_utilization_is(
    values: Values, whole: float, mig: float, helm: Helm, tmp_path: Path
) -> None:
    rule = utilization(helm, {"utilization": values})
    series = {
        **both(labels("whole"), *HALF),
        **moment(labels("mig", "b", mig="1")),
        **seconds(labels("mig", "b", mig="1"), *HALF, GPM),
    }
    case = Case(series, {2: {"whole": whole, "mig": mig}})
    assert contradictions(series, questions(rule, case), tmp_path) == ""


def test_the_rule_is_found_by_seconds_alone(helm: Helm, tmp_path: Path) -> None:
    """A counters file without GPU_UTIL takes no metric away."""
    series = seconds(labels("p"), *HALF)
    rule = utilization(helm)
    asked = [Question(f"count({rule.series})", {"{}": 1}), *questions(rule, Case(series, {2: {"p": 50}}))]
    assert contradictions(series, asked, tmp_path) == ""


@pytest.mark.parametrize(("interval", "last_answer_s"), [("15s", 75), ("1s", 60), ("1m", 300)])
def test_samples_of_five_scrapes_and_of_a_minute_count(interval: str, last_answer_s: int, helm: Helm) -> None:
    query = utilization(helm, {"serviceMonitor": {"interval": interval, "scrapeTimeout": "1s"}}).query
    assert query.count(f"[{last_answer_s}s]") == query.count("s]")


@pytest.mark.parametrize(
    "values",
    [
        {"arguments": ["-c", "30000"]},
        {"arguments": ["--collect-interval=16000"]},
        {"extraEnv": [{"name": "DCGM_EXPORTER_INTERVAL", "value": "30000"}]},
        {"arguments": ["-c", "30000"], "adapter": {"deploy": True}},
    ],
)
def test_a_scrape_that_finds_nothing_new_has_an_answer_where_collections_are_rarer(
    values: Values, helm: Helm, tmp_path: Path
) -> None:
    """Otherwise every second look of an HPA would find none."""
    rule = utilization(helm, values)
    series = {
        **both(
            labels("steady"), *(" ".join(f"{n} {n}" for n in range(200, 200 + 8 * step, step)) for step in (15, 30))
        ),
        **both(labels("unseen", "b"), "100+15x4 160x20", "200+15x4 260x20"),
        **both(labels("anew", "c"), "1 2 8 15 20 21", "5 6 10 20 30 40"),
    }
    case = Case(series, {4: {"steady": 50, "unseen": 100}, 5: {"steady": 50, "unseen": 100}, 12: {"steady": 50}})
    assert contradictions(series, questions(rule, case, "anew"), tmp_path) == ""


@pytest.mark.parametrize("is_renamed", [(False,), (True,), (False, True)])
def test_keda_gets_the_sum_over_the_pods_of_their_true_load(
    is_renamed: Sequence[bool], helm: Helm, tmp_path: Path
) -> None:
    query = queries_of(scaled_object_of(helm, keda(pods="left|right|trainer")))["gpu_utilization"]
    names = STYLES["classic"].names
    scrapes = [scraped(names, 0, is_renamed=one, job=f"{JOB}-{one}", counts_seconds=True) for one in is_renamed]
    series = {name: values for one in scrapes for name, values in one.items()}
    expected = sum(EXPECTED_OF_SECONDS["gpu_utilization"][pod] for pod in ("left", "right", "trainer"))
    assert contradictions(series, [Question(query, {"{}": expected})], tmp_path) == ""


def test_half_a_fleet_that_counts_seconds_changes_nothing_for_the_other_half(helm: Helm, tmp_path: Path) -> None:
    names = STYLES["classic"].names
    ours = scraped(names, 0, is_renamed=False, counts_seconds=True)
    theirs = {
        name.replace("node-1", "node-2").replace('"inference"', '"elsewhere"'): values
        for name, values in scraped(names, 0, is_renamed=False).items()
    }
    rule = utilization(helm)
    asked = [
        Question(rule.fill(namespace, *PODS), {f'{{pod="{pod}"}}': value for pod, value in expected.items()})
        for namespace, expected in (
            ("inference", EXPECTED_OF_SECONDS["gpu_utilization"]),
            ("elsewhere", EXPECTED["gpu_utilization"]),
        )
    ]
    assert contradictions({**ours, **theirs}, asked, tmp_path) == ""

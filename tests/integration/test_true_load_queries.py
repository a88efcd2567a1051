"""The queries of docs/true-load.md over counters as Prometheus stores them, answered by its own engine (promtool)."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.golden.soundness import tool

DOCS = Path(__file__).parents[2] / "docs" / "true-load.md"
SINCE_LAST_SCRAPE, OVER_TEN_MINUTES, OBSERVED_SHARE = re.findall(r"```promql\n(.*?)```", DOCS.read_text(), re.DOTALL)
INTERVAL_S = 15

Answers = Mapping[float, Mapping[str, float] | float | None]
"""What a query must answer by the scrape at which it is asked: one value, values by labels, or nothing."""


@pytest.fixture
def promtool() -> str:
    return tool("promtool")


def counters(busy: str, observed: str, labels: str = 'gpu="0"') -> dict[str, str]:
    return {
        f"gpu_exporter_busy_seconds_total{{{labels}}}": busy,
        f"gpu_exporter_observed_seconds_total{{{labels}}}": observed,
    }


def _samples(answer: Mapping[str, float] | float | None) -> list[dict[str, Any]]:
    if answer is None:
        return []
    by_labels = answer if isinstance(answer, Mapping) else {'gpu="0"': answer}
    return [{"labels": f"{{{labels}}}", "value": value} for labels, value in by_labels.items()]


def check(promtool: str, folder: Path, series: Mapping[str, str], query: str, answers: Answers) -> None:
    """Ask a query at some scrapes, counted from 0, of series with one value each 15 s."""
    asked = [
        {
            "expr": f"round({query}, 0.0001)",
            "eval_time": f"{round(scrape * INTERVAL_S)}s",
            "exp_samples": _samples(answer),
        }
        for scrape, answer in answers.items()
    ]
    stored = [{"series": name, "values": values} for name, values in series.items()]
    tests = [{"interval": f"{INTERVAL_S}s", "input_series": stored, "promql_expr_test": asked}]
    file = folder / "questions.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1s", "tests": tests}))
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


CASES: Mapping[str, tuple[Mapping[str, str], Answers]] = {
    "a steady load": (counters("100+7.5x8", "200+15x8"), {0: None, 1: 0.5, 2: 0.5, 8: 0.5}),
    "a load that changes is seen at the next scrape": (
        counters("100 100 115 122.5 122.5", "200+15x4"),
        {1: 0, 2: 1, 3: 0.5, 4: 0},
    ),
    "full load, whose quotient comes out above 1 by a rounding": (
        counters("0.3 15.300001 30.300002", "100 115 130"),
        {1: 1, 2: 1},
    ),
    "a lost scrape": (
        counters("100 115 _ 122.5 122.5", "200 215 _ 245 260"),
        {1: 1, 2: 1, 3: 0.25, 4: 0},
    ),
    "three lost scrapes": (counters("100 115 _x3 145", "200 215 _x3 275"), {2: 1, 4: 1, 5: 0.5}),
    "a gap in which nothing was observed": (
        counters("100 115 115 115 122.5", "200 215 215 215 230"),
        {1: 1, 2: None, 3: None, 4: 0.5},
    ),
    "a gap that ends between two scrapes": (
        counters("100 115 115 118", "200 215 215 221"),
        {2: None, 3: 0.5},
    ),
    "a restart": (counters("1000 1007.5 2 9.5", "2000 2015 4 19"), {1: 0.5, 2: None, 3: 0.5}),
    "a restart after 10 s": (counters("2.5 4 11.5", "5 10 25"), {1: None, 2: 0.5}),
    "a restart after 10 s of which no counter tells, busier after it": (
        counters("0 10 25", "5 10 25"),
        {1: None, 2: 1},
    ),
    "a restart after 10 s of which the busy seconds alone tell": (counters("5 2 2", "5 10 25"), {1: None, 2: 0}),
    "a restart of which the observed seconds alone tell": (
        counters("1 9 16.5", "300 10 25"),
        {1: None, 2: 0.5},
    ),
    "an exporter that has just begun": (counters("0 7.5 15", "0 15.1 30.1"), {1: 0.4967, 2: 0.5}),
    "a pod that left": (
        counters("100+15x3 stale", "200+15x3 stale", 'gpu="0",pod="a"'),
        {3: {'gpu="0",pod="a"': 1}, 4: None, 5: None},
    ),
    "an exporter that stopped": (counters("100+15x3 stale", "200+15x3 stale"), {3: 1, 3.9: 1, 4: None, 6: None}),
    "a Prometheus that stopped": (counters("100+15x3", "200+15x3"), {4: 1, 8: None, 20: None}),
    "a GPU that changes hands": (
        counters("100+15x3 stale", "200+15x3 stale", 'gpu="0",pod="a"')
        | counters("_x4 148 152 152", "_x4 260 275 290", 'gpu="0",pod="b"'),
        {3: {'gpu="0",pod="a"': 1}, 4: None, 5: {'gpu="0",pod="b"': 0.2667}, 6: {'gpu="0",pod="b"': 0}},
    ),
    "a GPU that changes hands while it goes on being the first pod's": (
        counters("100+15x6", "200+15x6", 'gpu="0",pod="a"')
        | counters("_x3 145+15x3", "_x3 245+15x3", 'gpu="0",pod="b"'),
        {3: {'gpu="0",pod="a"': 1}, 4: {'gpu="0",pod="a"': 1, 'gpu="0",pod="b"': 1}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_mean_since_the_last_scrape_is_true_or_absent(case: str, promtool: str, tmp_path: Path) -> None:
    series, answers = CASES[case]
    check(promtool, tmp_path, series, SINCE_LAST_SCRAPE, answers)


def test_a_mean_over_ten_minutes_leaves_out_what_was_not_observed(promtool: str, tmp_path: Path) -> None:
    steady = counters("100+15x20 400+0x40 407.5+7.5x19", "100+15x20 400+0x40 415+15x19")
    check(promtool, tmp_path, steady, OVER_TEN_MINUTES, {20: 1, 60: None, 79: 0.5})


def test_how_much_of_an_hour_was_observed(promtool: str, tmp_path: Path) -> None:
    check(promtool, tmp_path, counters("0x240", "0+15x120 1800x120"), OBSERVED_SHARE, {240: 0.5})

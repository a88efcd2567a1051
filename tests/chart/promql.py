"""PromQL over series that a test gives, answered by the real engine (`promtool test rules`)."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.tools.build import build

INTERVAL = "15s"
_TIMEOUT_S = 60.0

Series = Mapping[str, str]
"""By `name{labels}` the values, one each INTERVAL, as promtool writes them: `5x40`, `0+30x40`."""


class Question(NamedTuple):
    """A query and its answer some time after the series began: values by labels, `{pod="a"}` or `{}`."""

    query: str
    answers: Mapping[str, float]
    at: str = "5m"


def contradictions(series: Series, questions: Iterable[Question], folder: Path) -> str:
    """Return what promtool says of the answers that are not right; nothing if all are."""
    tests = [
        {
            "interval": INTERVAL,
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f"round({query}, 0.000001)",
                    "eval_time": at,
                    "exp_samples": [{"labels": labels, "value": value} for labels, value in answers.items()],
                }
                for query, answers, at in questions
            ],
        }
    ]
    file = folder / "questions.yaml"
    file.write_text(
        yaml.safe_dump({"fuzzy_compare": True, "evaluation_interval": INTERVAL, "tests": tests}), encoding="utf-8"
    )
    done = subprocess.run(
        [build("prometheus")["promtool"], "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr

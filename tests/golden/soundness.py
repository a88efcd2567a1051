"""What every scrape must be, whatever is in it: readable by Prometheus's own tools and free of nonsense."""

import math
import os
import shutil
import subprocess
from collections import Counter

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import Format
from tests.golden.series import read_series

LINT_ONLY = 3
"""promtool's exit status where it could read all and objects to names alone."""


def parse(page: str, form: Format) -> list[Metric]:
    """Return a page's metric families as prometheus_client's parser for its format reads them."""
    if form is Format.TEXT:
        return list(parse_text(page))
    return list(parse_openmetrics(page))


def assert_sound(page: str, form: Format) -> None:
    """Check that a page parses, has each series once, and no number that is none or below 0."""
    parsed = [sample for family in parse(page, form) for sample in family.samples]
    written = read_series(page)
    assert len(parsed) == len(written) > 0
    times = Counter((series.name, *sorted(series.labels.items())) for series in written)
    assert not [series for series, count in times.items() if count > 1]
    assert not [series for series in written if not (math.isfinite(float(series.value)) and float(series.value) >= 0)]


def assert_linted(page: str) -> None:
    """Check that promtool reads a text page and objects to nothing but to DCGM's own names."""
    answer = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False, timeout=20
    )
    objections = [line for line in answer.stderr.split("\n") if line and not line.startswith("DCGM_")]
    assert (answer.returncode in (0, LINT_ONLY), objections) == (True, []), answer.stderr


def tool(name: str, package: str = "prometheus") -> str:
    """Return the path of a program of one of Debian's packages; skip the test where it is absent."""
    path = shutil.which(name)
    if path is None:
        absent = f"{name} is not installed; Debian has it in the package {package}"
        if os.environ.get("REQUIRE_ALL_TOOLS") == "1":
            pytest.fail(absent)
        pytest.skip(absent)
    return path

"""Every helm that people run takes the chart, and makes the same of it."""

import re
from pathlib import Path

import pytest

from tests.chart.helm import CHART, Helm, Rendered
from tests.chart.values import MATRIX, read_values
from tests.tools.groups import read_groups

README = (CHART / "README.md").read_text(encoding="utf-8")
_KEYS_AND_CERTIFICATES = r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]+"  # base64 of -----BEGIN
_MADE_ANEW = re.compile(rf"{_KEYS_AND_CERTIFICATES}|\$2a\$10\$[./A-Za-z0-9]{{53}}")  # the latter are salted passwords


def without_secrets(rendered: Rendered) -> str:
    return _MADE_ANEW.sub("(made anew)", str(rendered.objects))


@pytest.mark.parametrize("name", MATRIX)
def test_any_helm_lints_the_chart_and_has_nothing_to_say(name: str, any_helm: Helm) -> None:
    said = any_helm.run("lint", "--strict", str(CHART), "--values", str(MATRIX[name]))
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.mark.parametrize("name", MATRIX)
def test_any_helm_makes_the_same_objects_as_the_newest(name: str, any_helm: Helm, helm: Helm) -> None:
    made, expected = (without_secrets(one.template(read_values(name))) for one in (any_helm, helm))
    assert made == expected


def test_the_oldest_that_any_helm_test_has_is_the_one_that_the_readme_promises() -> None:
    promised = re.search(r"helm (\d+\.\d+) or newer", README)
    assert promised
    [oldest] = read_groups((f"helm-{promised[1]}",))
    assert re.search(rf"helm\.sh/helm/v3 v{re.escape(promised[1])}\.\d+", Path(oldest.folder, "go.mod").read_text())

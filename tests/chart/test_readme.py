"""chart/README.md: its tables are those of the chart as it is."""

import re

import pytest
import yaml

from tests.chart.helm import CHART, Helm
from tests.chart.values import chart_defaults, leaves
from tools.chart_readme import filled

README = (CHART / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_tables_are_made_of_the_chart_as_it_is() -> None:
    assert filled(README) == README, "run `make docs`"


def test_every_value_stands_in_it() -> None:
    missing = {key for key, _ in leaves(chart_defaults()) if f"`{key}`" not in README}
    assert missing == set()


def test_the_kinds_that_helm_template_is_told_are_those_that_the_chart_asks_for(helm: Helm) -> None:
    told = re.findall(r"--api-versions=(\S+)", README)
    service, pod = (helm.template({"podMonitor": {"enabled": given}}, apis=told) for given in (False, True))
    assert service.all("PrometheusRule")
    assert service.all("ServiceMonitor")
    assert pod.all("PodMonitor")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_renders(example: str, helm: Helm) -> None:
    values = yaml.safe_load(example)
    rendered = helm.template(values)
    scalers = (*rendered.all("HorizontalPodAutoscaler"), *rendered.all("ScaledObject"))
    assert len(scalers) == len(values.get("autoscaling", ()))

"""Grafana dashboards as the chart makes them, and their queries with variables filled in as Grafana fills them in."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chart.helm import Helm, Values

NAMES = ("autoscaling", "fleet", "node", "pods")
BUILT_IN = {"__rate_interval": "10s", "__range": "5m"}
"""What Grafana itself puts in the place of its own variables, for a Prometheus that scrapes each second."""

Dashboard = Mapping[str, Any]


def render(helm: Helm, values: Values | None = None) -> dict[str, Dashboard]:
    """Return the dashboards by the last word of their ConfigMap's name."""
    return {
        one["metadata"]["name"].rpartition("-")[2]: json.loads(text)
        for one in config_maps(helm, values)
        for text in one["data"].values()
    }


def config_maps(helm: Helm, values: Values | None = None) -> list[dict[str, Any]]:
    """Return the ConfigMaps that dashboards are in."""
    return [one for one in helm.template(values).all("ConfigMap") if "-dashboard-" in one["metadata"]["name"]]


@dataclass(frozen=True, slots=True)
class Query:
    """A query and the panel that makes it."""

    panel: str
    expr: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a variable offers: the values of a label of some series."""

    name: str
    series: str
    label: str


def panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Dashboard, variables: Mapping[str, str]) -> Iterator[Query]:
    """Yield all queries of the panels; a variable without a value fails."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Query(panel["title"], _fill(target["expr"], variables))


def choices(dashboard: Dashboard, variables: Mapping[str, str]) -> Iterator[Choice]:
    """Yield the variables that Prometheus is asked for."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", _fill(variable["query"]["query"], variables))
            assert found, variable
            yield Choice(variable["name"], found[1], found[2])


def grouped_by(expr: str) -> set[str]:
    """Return the labels by which a query groups or joins."""
    return {label.strip() for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr) for label in labels.split(",")}


def legends(dashboard: Dashboard) -> set[str]:
    """Return the labels that legends show."""
    return set(re.findall(r"\{\{(\w+)\}\}", json.dumps([panel["targets"] for panel in panels(dashboard)])))


def _fill(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: {**BUILT_IN, **variables}[found[1]], text)

"""The rules of prometheus-adapter as the chart renders them, and how the adapter fills their placeholders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tests.chart.helm import Rendered


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        metric: The name that HPAs ask for.
        series: Which series it is for, as a selector.
        query: What it asks, with placeholders.
        pod: The label that names a pod.
        namespace: The label that names its namespace.
    """

    metric: str
    series: str
    query: str
    pod: str
    namespace: str

    def fill(self, namespace: str, *pods: str) -> str:
        """Return what the adapter asks for pods of a namespace."""
        one_of = f'{self.pod}="{pods[0]}"' if len(pods) == 1 else f'{self.pod}=~"{"|".join(pods)}"'
        return self._fill(f'{self.namespace}="{namespace}",{one_of}', self.pod)

    def fill_for_namespace(self, namespace: str) -> str:
        """Return what the adapter asks for a namespace as a whole."""
        return self._fill(f'{self.namespace}="{namespace}"', self.namespace)

    def _fill(self, matchers: str, group: str) -> str:
        return self.query.replace("<<.LabelMatchers>>", matchers).replace("<<.GroupBy>>", group)


def read_rules(rendered: Rendered) -> Sequence[Rule]:
    """Return the rules of the chart's ConfigMap, in their order."""
    [text] = [one["data"]["config.yaml"] for one in rendered.all("ConfigMap") if "config.yaml" in one["data"]]
    return [_rule(raw) for raw in yaml.safe_load(text)["rules"]]


def _rule(raw: dict[str, Any]) -> Rule:
    labels = {one["resource"]: label for label, one in raw["resources"]["overrides"].items()}
    name = raw.get("name", {}).get("as", "")
    return Rule(name, raw["seriesQuery"], raw["metricsQuery"], labels["pod"], labels["namespace"])

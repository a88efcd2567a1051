"""What the alerts must do, as promtool takes it: read from the files in alerts/, in the label names of a style."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class Style:
    """Values that choose label names, and the names that must come of them."""

    values: Mapping[str, Any]
    names: Mapping[str, str]

    def fill(self, text: str) -> str:
        """Return a text with the label names in the place of <pod> and the like."""
        for word, name in self.names.items():
            text = text.replace(f"<{word}>", name)
        return text


_CLASSIC = {
    "uuid": "UUID",
    "hostname": "Hostname",
    "model": "modelName",
    "pod": "pod",
    "namespace": "namespace",
    "container": "container",
}
_OLD = {"uuid": "uuid", "pod": "pod_name", "namespace": "pod_namespace", "container": "container_name"}
_NEWEST = {"uuid": "gpu_uuid", "hostname": "hostname", "model": "model_name"}
STYLES = {
    "classic": Style({}, _CLASSIC),
    "4.8.3": Style({"labels": {"style": "4.8.3"}}, _CLASSIC | {"hostname": "hostname"}),
    "4.9": Style({"labels": {"style": "4.9"}}, _CLASSIC | _NEWEST),
    "old": Style({"labels": {"oldNames": True}}, _CLASSIC | _OLD),
}
_RENAMED = {name: f"exported_{name}" for name in ("pod", "namespace", "container")}
SCRAPED_STYLES = STYLES | {"renamed": Style({"serviceMonitor": {"honorLabels": False}}, _CLASSIC | _RENAMED)}
"""The exporter's spellings, and what Prometheus makes of the usual one where honorLabels is false."""


@dataclass(frozen=True, slots=True)
class Case:
    """Series, and what one alert makes of them: expected alerts by time, none where it is quiet."""

    alert: str
    about: str
    series: Mapping[str, str]
    expected: Mapping[str, list[dict[str, Any]]]


def read_cases(style: Style) -> Iterator[Case]:
    """Yield all cases, in a style's label names."""
    for file in FILES:
        yield from _cases(yaml.safe_load(style.fill(file.read_text())), style)


def _cases(data: Mapping[str, Any], style: Style) -> Iterator[Case]:
    def fill(text: str) -> str:
        for word, meaning in data["shorthands"].items():
            text = text.replace(word, meaning)
        return style.fill(text)

    for alert, cases in data["alerts"].items():
        for case in cases:
            series = {fill(name): values for name, values in case["series"].items()}
            quiet = {time: list[dict[str, Any]]() for time in case.get("quiet", ())}
            fires = {time: [_routed(one, style) for one in ones] for time, ones in case.get("fires", {}).items()}
            yield Case(alert, case["about"], series, quiet | fires)


def _routed(alert: Mapping[str, Any], style: Style) -> dict[str, Any]:
    """Return an expected alert with `namespace`, by which alerts are routed: the workload's, or else the exporter's."""
    labels = alert["labels"]
    namespace = labels.get(style.names["namespace"]) or labels.get("namespace") or "monitoring"
    return {**alert, "labels": labels | {"namespace": namespace}}


def promtool_test(cases: Iterator[Case], rules: Path, severities: Mapping[str, str]) -> dict[str, Any]:
    """Return a test file for `promtool test rules`. Rules may have no annotation but the summary."""
    return {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": f"{case.alert}: {case.about}",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": time,
                        "alertname": case.alert,
                        "exp_alerts": [
                            {
                                "exp_labels": one["labels"] | {"severity": severities[case.alert]},
                                "exp_annotations": {"summary": one["summary"]},
                            }
                            for one in expected
                        ],
                    }
                    for time, expected in case.expected.items()
                ],
            }
            for case in cases
        ],
    }

"""What the objects say that let Prometheus scrape the exporter."""

import pytest

from tests.chart.helm import ALL_APIS, Helm


@pytest.mark.parametrize(("kind", "key"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")])
@pytest.mark.parametrize(
    ("given", "timeout"),
    [
        ({}, "10s"),
        ({"interval": "5s"}, "5s"),
        ({"interval": "10s"}, "10s"),
        ({"interval": "500ms"}, "500ms"),
        ({"interval": "1m30s", "scrapeTimeout": "75s"}, "75s"),
        ({"scrapeTimeout": "1m"}, "15s"),
    ],
)
def test_timeout_is_never_longer_than_the_interval_because_the_operator_would_drop_the_monitor(
    helm: Helm, kind: str, key: str, given: dict[str, str], timeout: str
) -> None:
    values = {"serviceMonitor": given, "podMonitor": {"enabled": kind == "PodMonitor"}}
    [endpoint] = helm.template(values, apis=ALL_APIS).one(kind)["spec"][key]
    assert endpoint["scrapeTimeout"] == timeout

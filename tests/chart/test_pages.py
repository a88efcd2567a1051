"""The values on the pages for readers: each fragment renders, and does what the page says of it."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.chart import looks
from tests.chart.helm import Helm, Refused
from tests.chart.soundness import faults
from tests.chart.test_dcgm_values import ROWS
from tests.pages import blocks, page, section

FROM_DCGM = page("coming-from-dcgm-exporter")
PAGES = ("coming-from-dcgm-exporter",)
FRAGMENTS = {f"{name} {number}": text for name in PAGES for number, text in enumerate(blocks(page(name), "yaml"))}
SEVERAL_ROWS = ("tlsServerConfig", "basicAuth")


def values(text: str) -> Mapping[str, Any]:
    """Return the only fragment of a text."""
    [fragment] = blocks(text, "yaml")
    found: Mapping[str, Any] = yaml.safe_load(fragment)
    return found


@pytest.mark.parametrize("name", FRAGMENTS)
def test_each_fragment_renders(name: str, helm: Helm) -> None:
    rendered = helm.template(yaml.safe_load(FRAGMENTS[name]))
    assert looks.exporter(rendered)
    assert faults(rendered.objects) == []


def test_beside_dcgm_exporter_nothing_is_scraped_and_nothing_alerts(helm: Helm) -> None:
    given = values(section(FROM_DCGM, "Both side by side"))
    rendered = helm.template(given, release="gpu-metrics")
    assert looks.daemon_set(rendered)["metadata"]["name"] == "gpu-metrics-dcgm-exporter"
    assert {one["kind"] for one in rendered.objects} & {"ServiceMonitor", "PodMonitor", "PrometheusRule"} == set()
    assert [one["metadata"]["name"] for one in rendered.all("ConfigMap")] == ["gpu-metrics-dcgm-exporter-counters"]


def test_on_the_host_s_network_the_second_exporter_takes_another_port(helm: Helm) -> None:
    assert '`service: {port: 9401, address: ":9401"}`' in FROM_DCGM
    rendered = helm.template({"hostNetwork": True, "service": {"port": 9401, "address": ":9401"}})
    assert looks.environment(rendered)["DCGM_EXPORTER_LISTEN"] == ":9401"
    assert looks.exporter(rendered)["ports"] == [{"name": "metrics", "containerPort": 9401}]


def test_pod_can_mean_the_exporter_s_own_as_with_dcgm_exporter(helm: Helm) -> None:
    given = values(section(FROM_DCGM, "Dashboards, alerts and rules"))
    endpoint = looks.endpoint(helm.template(given))
    assert endpoint["honorLabels"] is False
    assert "labeldrop" not in [one["action"] for one in endpoint["relabelings"]]


def test_each_default_that_differs_has_its_row() -> None:
    table = section(FROM_DCGM, "Values whose defaults differ")
    differ = {key for key, row in ROWS.items() if row["ours"] and not key.startswith(("image.", "service.web"))}
    keys = {key for key in differ if f"`{key}`" not in table}
    in_words = {"resources.requests.memory", "livenessProbe.initialDelaySeconds", "readinessProbe.initialDelaySeconds"}
    assert keys == in_words
    assert "`requests.memory`" in table
    assert "probes' `initialDelaySeconds`" in table


def test_with_a_name_of_its_own_the_selector_is_that_of_newer_charts(helm: Helm) -> None:
    selector = looks.daemon_set(helm.template({"nameOverride": "gpus"}))["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/component"] == "gpus"


def test_a_key_that_old_charts_had_and_never_read_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match="mapPodsMetrics"):
        helm.template({"mapPodsMetrics": False})

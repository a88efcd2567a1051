"""What Grafana and its sidecar are given, apart from what queries find."""

import json
import re
from typing import Any

import pytest

from tests.chart.alert_cases import SCRAPED_STYLES
from tests.chart.dashboards import NAMES, config_maps, panels, render
from tests.chart.helm import Helm

MOST_BYTES = 256 * 1024
"""Of a dashboard; a ConfigMap can have 1 MiB."""
LONGEST_UID = 40

every_dashboard = pytest.mark.parametrize("name", NAMES)


@every_dashboard
@pytest.mark.parametrize("style", SCRAPED_STYLES)
def test_it_is_a_dashboard_in_which_everything_is_filled_in(name: str, style: str, helm: Helm) -> None:
    dashboard = render(helm, SCRAPED_STYLES[style].values)[name]
    assert dashboard["uid"] == f"gpu-{name}"
    assert dashboard["schemaVersion"] >= 39
    assert "gpu-exporter" in dashboard["tags"]
    assert not re.search(r"<\w+>", json.dumps(dashboard))


@every_dashboard
def test_all_asks_the_data_source_that_the_user_chooses(name: str, helm: Helm) -> None:
    dashboard = render(helm)[name]
    first, *others = dashboard["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    asking = [*others, *panels(dashboard), *(target for panel in panels(dashboard) for target in panel["targets"])]
    assert all(one["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for one in asking)


@every_dashboard
def test_panels_have_ids_of_their_own_and_lie_side_by_side(name: str, helm: Helm) -> None:
    taken: set[tuple[int, int]] = set()
    every = render(helm)[name]["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for panel in every:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@every_dashboard
def test_links_lead_to_a_dashboard_and_a_variable_that_it_has(name: str, helm: Helm) -> None:
    made = render(helm)
    known = {(one["uid"], variable["name"]) for one in made.values() for variable in one["templating"]["list"]}
    links = re.findall(r"/d/([\w-]+)\?var-(\w+)=", json.dumps(made[name]))
    assert set(links) <= known
    assert bool(links) == (name in ("fleet", "pods"))


def test_legends_keep_grafana_s_braces(helm: Helm) -> None:
    targets = [target for panel in panels(render(helm)["node"]) for target in panel["targets"]]
    assert "GPU {{gpu}} {{GPU_I_PROFILE}} {{GPU_I_ID}}" in {target.get("legendFormat") for target in targets}


@pytest.mark.parametrize(
    ("values", "namespace", "label", "folder"),
    [
        ({}, "monitoring", ("grafana_dashboard", "1"), None),
        (
            {
                "label": "dashboards",
                "labelValue": "gpu",
                "namespace": "grafana",
                "annotations": {"grafana_folder": "GPUs"},
            },
            "grafana",
            ("dashboards", "gpu"),
            "GPUs",
        ),
    ],
)
def test_config_maps_are_what_the_sidecar_looks_for(
    values: dict[str, Any], namespace: str, label: tuple[str, str], folder: str | None, helm: Helm
) -> None:
    made = config_maps(helm, {"dashboards": values})
    assert len(made) == len(NAMES)
    for one in made:
        assert one["metadata"]["namespace"] == namespace
        assert label in one["metadata"]["labels"].items()
        assert one["metadata"].get("annotations", {}).get("grafana_folder") == folder
        assert len(json.dumps(one["data"])) < MOST_BYTES


def test_dashboards_can_be_left_out(helm: Helm) -> None:
    assert config_maps(helm, {"dashboards": {"enabled": False}}) == []


def test_two_releases_give_grafana_two_sets_of_dashboards(helm: Helm) -> None:
    made = [*render(helm).values(), *render(helm, {"fullnameOverride": "h" * 63}).values()]
    uids = {one["uid"] for one in made}
    assert len(uids) == len({one["title"] for one in made}) == 2 * len(NAMES)
    assert max(map(len, uids)) <= LONGEST_UID


def test_the_autoscaling_dashboard_has_a_panel_for_each_of_the_adapter_s_metrics(helm: Helm) -> None:
    own = {
        "seriesQuery": 'my_queue{namespace!="",pod!=""}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
        "name": {"as": "my_queue"},
        "metricsQuery": "sum by (<<.GroupBy>>)(my_queue{<<.LabelMatchers>>})",
    }

    def titles(**rules: object) -> set[str]:
        return {panel["title"] for panel in panels(render(helm, {"adapter": {"rules": rules}})["autoscaling"])}

    assert {"gpu_utilization", "gpu_framebuffer_used_ratio", "inference_queue_depth", "my_queue"} <= titles(extra=[own])
    assert "inference_queue_depth" not in titles(serving=False)
    assert "my_queue" not in titles(
        extra=[own | {"metricsQuery": "sum by (<<.GroupBy>>)(<<.Series>>{<<.LabelMatchers>>})"}]
    )

"""The dashboards' queries, asked of a real Prometheus that scrapes mock exporters; and dashboard 12239's."""

import re
from collections.abc import Iterator
from functools import partial

import pytest

from tests.chart.alert_cases import STYLES
from tests.chart.dashboard_lab import POD, Lab, running_lab, variables
from tests.chart.dashboards import NAMES, Dashboard, choices, grouped_by, legends, queries, render
from tests.chart.helm import Helm
from tests.chart.prometheus_run import answer_of, wait_for
from tests.golden.series import read_series

every_style = pytest.mark.parametrize("style", STYLES)
every_dashboard = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def lab(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    rules = helm.template().one("PrometheusRule")["spec"]
    with running_lab(tmp_path_factory.mktemp("lab"), rules) as running:
        yield running


@every_style
@every_dashboard
def test_each_query_parses_and_finds_data(name: str, style: str, lab: Lab, helm: Helm) -> None:
    left = list(queries(render(helm, STYLES[style].values)[name], variables(style)))
    assert left

    def all_have_data() -> bool:
        left[:] = [query for query in left if not lab.prometheus.series(query.expr)]
        return not left

    wait_for("each query finds data", all_have_data, lambda: "\n".join(map(str, left)))


@every_style
@every_dashboard
def test_each_variable_offers_what_there_is_to_choose(name: str, style: str, lab: Lab, helm: Helm) -> None:
    chosen = variables(style) | {"gpu": "0", "pod": POD, "model": "NVIDIA H100 80GB HBM3"}
    for choice in choices(render(helm, STYLES[style].values)[name], variables(style)):
        wanted = chosen[choice.name]
        wait_for(f"{choice} offers {wanted}", partial(lab.prometheus.has_value, choice.label, wanted, choice.series))


@every_style
@every_dashboard
def test_queries_and_legends_name_only_labels_that_series_have(name: str, style: str, lab: Lab, helm: Helm) -> None:
    dashboard = render(helm, STYLES[style].values)[name]
    named = {label for query in queries(dashboard, variables(style)) for label in grouped_by(query.expr)}
    named |= legends(dashboard)
    sources = (f'{{exporter_pod="exporter-{style}"}}', '{job="others"}', "ALERTS")

    def all_are_known() -> bool:
        return named <= {label for source in sources for label in lab.prometheus.labels(source)}

    wait_for(f"all of {named} are labels", all_are_known)


def of_panel(dashboard: Dashboard, title: str) -> str:
    """Return the first query of a panel."""
    return next(query.expr for query in queries(dashboard, variables("classic")) if query.panel == title)


def test_the_fleet_counts_shared_and_divided_gpus_once(lab: Lab, helm: Helm) -> None:
    fleet = render(helm)["fleet"]
    gpus = partial(lab.prometheus.number, of_panel(fleet, "GPUs"))
    wait_for("the lost GPU's series have ended", lambda: gpus() == 6)
    page = read_series(answer_of(f"http://{lab.exporters['classic']}/metrics"))
    held = [one for one in page if one.name == "DCGM_FI_DEV_FB_USED" and one.labels["pod"]]
    assert len(held) == 6  # of 7 GPUs and MIG instances 5, one of them by two pods
    assert lab.prometheus.number(of_panel(fleet, "Held by pods")) == pytest.approx(5 / 7)
    watts = {one.labels["UUID"]: float(one.value) for one in page if one.name == "DCGM_FI_DEV_POWER_USAGE"}
    assert lab.prometheus.number(of_panel(fleet, "Power")) == pytest.approx(sum(watts.values()), rel=0.02)


def test_the_autoscaling_dashboard_shows_what_the_hpa_sees(lab: Lab, helm: Helm) -> None:
    query = of_panel(render(helm)["autoscaling"], "gpu_utilization")
    wait_for("both pods are there", lambda: len(lab.prometheus.series(query)) == 2)
    seen = {one["metric"]["pod"]: float(one["value"][1]) for one in lab.prometheus.series(query)}
    assert seen == {POD: pytest.approx(50, abs=2), "llama-70b-6d8f9c7b5-zt7mn": pytest.approx(50, abs=2)}


def test_the_alerts_rules_are_evaluated_without_an_error(lab: Lab) -> None:
    def health() -> set[str]:
        return {rule["health"] for group in lab.prometheus.ask("rules")["groups"] for rule in group["rules"]}

    wait_for("each rule was evaluated", lambda: health() == {"ok"})


# What dashboard 12239 of grafana.com asks, in its widespread forms: a line for each series, and means or sums.
DASHBOARD_12239 = [
    "DCGM_FI_DEV_GPU_TEMP{%s}",
    "avg(DCGM_FI_DEV_GPU_TEMP{%s})",
    "DCGM_FI_DEV_POWER_USAGE{%s}",
    "sum(DCGM_FI_DEV_POWER_USAGE{%s})",
    "avg(DCGM_FI_DEV_POWER_USAGE{%s})",
    "DCGM_FI_DEV_SM_CLOCK{%s} * 1000000",
    "DCGM_FI_DEV_GPU_UTIL{%s}",
    "avg(DCGM_FI_DEV_GPU_UTIL{%s})",
    "DCGM_FI_DEV_MEM_COPY_UTIL{%s}",
    "DCGM_FI_DEV_FB_USED{%s}",
    "avg(DCGM_FI_DEV_FB_USED{%s})",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{%s}",
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{%s}",
]


@pytest.mark.parametrize("query", DASHBOARD_12239)
def test_dashboard_12239_finds_data_for_the_instances_and_gpus_that_it_offers(query: str, lab: Lab) -> None:
    address = lab.exporters["classic"]
    for label, wanted in (("instance", address), ("gpu", "0")):
        offers = partial(lab.prometheus.has_value, label, wanted, "DCGM_FI_DEV_GPU_TEMP")
        wait_for(f"{label} {wanted} is offered", offers)
    instance = re.escape(address).replace("\\", "\\\\")
    expr = query % f'instance=~"{instance}", gpu=~"(0|1)"'
    lines = 1 if "(DCGM" in query else 2
    wait_for(f"{expr} finds data", lambda: len(lab.prometheus.series(expr)) == lines)

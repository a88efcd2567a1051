"""The dashboards' queries, asked of a real Prometheus that scrapes mock exporters; and dashboard 12239's."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chart.alert_cases import SCRAPED_STYLES
from tests.chart.dashboard_lab import POD, Lab, namespace_of, running_lab, variables
from tests.chart.dashboards import NAMES, Dashboard, choices, grouped_by, legends, panels, queries, render
from tests.chart.helm import Helm
from tests.chart.promql import Question, contradictions
from tests.golden.series import read_series
from tests.integration.prometheus_run import answer_of
from tests.waiting import until

FRAMEBUFFER = '{__name__=~"DCGM_FI_DEV_FB_USED(_BYTES)?"}'
OR_NONE = " or vector(0)"
"""What makes a query answer whatever it asks for."""

every_style = pytest.mark.parametrize("style", SCRAPED_STYLES)
every_dashboard = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def lab(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    rules = helm.template().one("PrometheusRule")["spec"]
    with running_lab(tmp_path_factory.mktemp("lab"), rules) as running:
        yield running


@every_style
@every_dashboard
def test_each_query_parses_and_finds_data(name: str, style: str, lab: Lab, helm: Helm) -> None:
    left = list(queries(render(helm, SCRAPED_STYLES[style].values)[name], variables(style)))
    assert left

    def all_have_data() -> bool:
        left[:] = [query for query in left if not lab.prometheus.series(query.expr.replace(OR_NONE, ""))]
        return not left

    until(all_have_data, lambda: "\n".join(map(str, left)), what="each query finds data")


@every_style
@every_dashboard
def test_each_variable_offers_what_there_is_to_choose(name: str, style: str, lab: Lab, helm: Helm) -> None:
    chosen = variables(style) | {"gpu": "0", "pod": POD, "model": "NVIDIA H100 80GB HBM3"}
    for choice in choices(render(helm, SCRAPED_STYLES[style].values)[name], variables(style)):
        wanted = chosen[choice.name]
        until(partial(lab.prometheus.has_value, choice.label, wanted, choice.series), what=f"{choice} offers {wanted}")


@every_style
@every_dashboard
def test_queries_and_legends_name_only_labels_that_series_have(name: str, style: str, lab: Lab, helm: Helm) -> None:
    dashboard = render(helm, SCRAPED_STYLES[style].values)[name]
    named = {label for query in queries(dashboard, variables(style)) for label in grouped_by(query.expr)}
    named |= legends(dashboard)
    sources = ('{job="dcgm-exporter"}', '{job="others"}', "ALERTS")

    def all_are_known() -> bool:
        return named <= {label for source in sources for label in lab.prometheus.labels(source)}

    until(all_are_known, what=f"all of {named} are labels")


def of_panel(dashboard: Dashboard, title: str, style: str = "classic", **chosen: str) -> str:
    """Return the first query of a panel."""
    asked = queries(dashboard, variables(style) | chosen)
    return next(query.expr for query in asked if query.panel == title)


def has_number(lab: Lab, query: str, number: float) -> bool:
    """Say whether a query finds one series, and this value."""
    return [float(one["value"][1]) for one in lab.prometheus.series(query)] == [number]


@pytest.mark.parametrize("style", ["classic", "renamed"])
def test_the_fleet_counts_shared_and_divided_gpus_once(style: str, lab: Lab, helm: Helm) -> None:
    of_fleet = partial(of_panel, render(helm, SCRAPED_STYLES[style].values)["fleet"], style=style)
    gpus = partial(lab.prometheus.number, of_fleet("GPUs"))
    until(lambda: gpus() == 6, what="the lost GPU's series have ended")
    page = read_series(answer_of(f"http://{lab.exporters[style]}/metrics"))
    held = [one for one in page if one.name == "DCGM_FI_DEV_FB_USED" and one.labels["pod"]]
    assert len(held) == 6  # of 7 GPUs and MIG instances 5, one of them by two pods
    assert lab.prometheus.number(of_fleet("Held by pods")) == pytest.approx(5 / 7)
    watts = {one.labels["UUID"]: float(one.value) for one in page if one.name == "DCGM_FI_DEV_POWER_USAGE"}
    assert lab.prometheus.number(of_fleet("Power")) == pytest.approx(sum(watts.values()), rel=0.02)


def test_the_fleet_counts_an_exporter_that_two_monitors_scrape_once(lab: Lab, helm: Helm) -> None:
    fleet = render(helm)["fleet"]
    for title, count in (("Versions", len(SCRAPED_STYLES)), ("Lost GPUs", len(SCRAPED_STYLES)), ("With problems", 1)):
        until(partial(has_number, lab, of_panel(fleet, title), count), what=f"{title} is {count}")


@pytest.mark.parametrize("style", ["classic", "renamed"])
def test_what_a_second_monitor_gives_to_the_exporter_s_pod_is_not_held_by_it(style: str, lab: Lab, helm: Helm) -> None:
    label = SCRAPED_STYLES[style].names["namespace"]
    pods = render(helm, SCRAPED_STYLES[style].values)["pods"]
    query = of_panel(pods, "Framebuffer in use", style, namespace=".+", pod=f"exporter-{style}|{POD}")
    until(lambda: lab.prometheus.has_value("exported_pod", POD, FRAMEBUFFER), what="both monitors' series are there")

    def holders() -> set[str]:
        return {one["metric"][label] for one in lab.prometheus.series(query)}

    until(lambda: namespace_of(style) in holders(), what="GPUs are held")
    assert "monitoring" not in holders()


def test_lists_of_a_node_have_a_line_for_each_gpu_and_exporter(lab: Lab, helm: Helm) -> None:
    node = render(helm)["node"]
    for title, lines in (("Lost GPUs", 1), ("CPU", 1), ("Memory", 1), ("Age of the snapshots", 7)):
        until(partial(has_number, lab, f"count({of_panel(node, title)})", lines), what=f"{title} has {lines} lines")


GPU_LABELS = 'Hostname="n", gpu="0", UUID="a", modelName="m", exporter_pod="x"'
ENERGY_OF_FOUR_OWNERS = {
    f'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{GPU_LABELS}, pod="p{n}"}}': (
        f"_x{5 * n} {n * 18_000_000_000}+3600000000x4 stale"
    )
    for n in range(4)
}
ENERGY_IN_JOULES = {
    'DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{Hostname="n", gpu="1", UUID="b", modelName="m", exporter_pod="x"}': (
        "0+1800000x20"
    )
}


def test_energy_is_all_that_a_gpu_has_used_whoever_has_held_it(helm: Helm, tmp_path: Path) -> None:
    energy = of_panel(render(helm)["fleet"], "Energy over the time range", node=".*")
    assert contradictions(ENERGY_OF_FOUR_OWNERS, [Question(energy, {"{}": 20})], tmp_path) == ""
    both = ENERGY_OF_FOUR_OWNERS | ENERGY_IN_JOULES
    assert contradictions(both, [Question(energy, {"{}": 30})], tmp_path) == ""


def _two_gpus() -> Iterator[tuple[str, str]]:
    """Yield two models' GPUs, held by a pod each: busy half of the time, and always when their moments are read."""
    for gpu, model in (("0", "m"), ("1", "other")):
        labels = f'Hostname="n", gpu="{gpu}", UUID="{gpu}", exporter_pod="x", namespace="team", pod="p{gpu}"'
        yield f'DCGM_FI_DEV_FB_USED{{{labels}, modelName="{model}"}}', "1x40"
        yield f'DCGM_FI_DEV_GPU_UTIL{{{labels}, modelName="{model}"}}', "98x40"
        yield f"gpu_exporter_busy_seconds_total{{{labels}}}", f"0+{7.5 - 3 * int(gpu)}x40"
        yield f"gpu_exporter_observed_seconds_total{{{labels}}}", "0+15x40"


@pytest.mark.parametrize(
    ("panel", "chosen", "expected"),
    [
        (("fleet", "Utilization"), {"node": ".*", "model": ".*"}, {"{}": 40}),
        (("fleet", "Utilization"), {"node": "n", "model": "m"}, {"{}": 50}),
        (("fleet", "Utilization by model"), {"node": "n"}, {'{modelName="m"}': 50, '{modelName="other"}': 30}),
        (("node", "Utilization"), {"node": "n", "gpu": "1"}, {"{}": 30}),
        (("pods", "Utilization"), {"namespace": "team", "pod": "p0"}, {"{}": 50}),
        (("pods", "Idle"), {"namespace": "team"}, {"{}": 0}),
    ],
)
def test_dashboards_show_true_load_where_seconds_are_counted(
    panel: tuple[str, str], chosen: dict[str, str], expected: dict[str, float], helm: Helm, tmp_path: Path
) -> None:
    dashboard, title = panel
    query = of_panel(render(helm)[dashboard], title, **chosen, __rate_interval="1m")
    assert contradictions(dict(_two_gpus()), [Question(query, expected)], tmp_path) == ""


def test_a_rate_has_two_scrapes_whatever_grafana_takes_for_their_interval(helm: Helm) -> None:
    dashboards = render(helm, {"serviceMonitor": {"interval": "1m"}}).values()
    targets = [target for one in dashboards for panel in panels(one) for target in panel["targets"]]
    assert {one.get("interval") for one in targets if "$__rate_interval" in one["expr"]} == {"1m"}


@pytest.mark.parametrize("renamed", [True, False])
def test_the_autoscaling_dashboard_shows_pods_whose_labels_a_monitor_has_renamed(
    renamed: bool, helm: Helm, tmp_path: Path
) -> None:
    query = of_panel(render(helm)["autoscaling"], "gpu_utilization")
    prefix = "exported_" if renamed else ""
    labels = f'{prefix}pod="{POD}", {prefix}namespace="chat-classic", Hostname="n", UUID="a", job="dcgm-exporter"'
    labels += ', namespace="monitoring"' if renamed else ""
    series = {f"DCGM_FI_DEV_GPU_UTIL{{{labels}}}": "70x20"}
    assert contradictions(series, [Question(query, {f'{{pod="{POD}"}}': 70})], tmp_path) == ""


def test_the_autoscaling_dashboard_shows_what_the_hpa_sees(lab: Lab, helm: Helm) -> None:
    query = of_panel(render(helm)["autoscaling"], "gpu_utilization")
    until(lambda: len(lab.prometheus.series(query)) == 2, what="both pods are there")
    seen = {one["metric"]["pod"]: float(one["value"][1]) for one in lab.prometheus.series(query)}
    assert seen == {POD: pytest.approx(50, abs=2), "llama-70b-6d8f9c7b5-zt7mn": pytest.approx(50, abs=2)}


def test_the_alerts_rules_are_evaluated_without_an_error(lab: Lab) -> None:
    def health() -> set[str]:
        return {rule["health"] for group in lab.prometheus.ask("rules")["groups"] for rule in group["rules"]}

    until(lambda: health() == {"ok"}, what="each rule was evaluated")


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
        until(offers, what=f"{label} {wanted} is offered")
    instance = re.escape(address).replace("\\", "\\\\")
    expr = query % f'instance=~"{instance}", gpu=~"(0|1)"'
    gpus = {None} if "(DCGM" in query else {"0", "1"}
    until(lambda: {one["metric"].get("gpu") for one in lab.prometheus.series(expr)} == gpus, what=f"{expr} finds data")

"""The guide's troubleshooting section: what the HPA says, that replicas stay, and what mends it."""

import re
import shlex
from pathlib import Path
from string import Template

import pytest

from tests.e2e.api import Object
from tests.e2e.breakages import (
    OTHER_RULES,
    WITHOUT_K,
    applied,
    exporter_on,
    without_adapter,
    without_prometheus,
)
from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.doctor_run import first_broken
from tests.e2e.guide_files import serving_rules
from tests.e2e.port_forward import fetch, port_forward
from tests.e2e.prometheus import HOST, NAMESPACE, targets
from tests.e2e.symptoms import (
    BEGINNING,
    ENDS,
    FOUND,
    NO_ADAPTER,
    NO_API,
    NO_PROMETHEUS,
    NO_VALUE,
    UNKNOWN_METRIC,
    holders,
    known_gpu_metrics,
    last_scaled,
    scaling_active,
    series,
    spread_over_nodes,
)
from tests.e2e.workloads import GPU_WORK, Workload, autoscaler, deployment

WITHIN_S = 120.0
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


class Watched:
    """Four pods at 45 of 50 %, and the rows of the table about them."""

    def __init__(self, cluster: Cluster, table: Table, case: str) -> None:
        self._cluster = cluster
        self._table = table
        self._case = case
        self.work = Workload(cluster, "infer", "team-a")
        cluster.load.set("team-a", 1.8)
        cluster.kubectl("apply", manifests=[with_replicas(4, deployment("infer", "team-a"))])
        table.becomes(f"{case}: gpu_utilization before", "45 45 45 45", self.work.utilization, WITHIN_S)
        cluster.kubectl("apply", manifests=[autoscaler("infer", "team-a")])
        table.becomes(f"{case}: the HPA before", FOUND, lambda: scaling_active(self.work), WITHIN_S)

    def says(self, message: str) -> None:
        self._table.becomes(f"{self._case}: the HPA", message, lambda: scaling_active(self.work), WITHIN_S)

    def goes_on_saying(self, message: str) -> None:
        self._table.stays(f"{self._case}: the HPA", message, lambda: scaling_active(self.work), 12)

    def doctor_names(self, link: str) -> None:
        self._table.becomes(f"{self._case}: the doctor", link, lambda: first_broken(self._cluster), WITHIN_S)

    def mends_itself(self) -> None:
        """See the load again, and that the autoscaler has not scaled in between."""
        case, work = self._case, self.work
        self._table.becomes(f"{case}: the HPA after", FOUND, lambda: scaling_active(work), WITHIN_S)
        self._table.becomes(f"{case}: gpu_utilization after", "45 45 45 45", work.utilization, WITHIN_S)
        self._table.is_(f"{case}: when the HPA has scaled", "never", last_scaled(self._cluster, work))


def test_page_quotes_each_message_and_says_what_to_do() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"`{BEGINNING}…`" in page
    sections = sections_of(page)
    place_of = dict(re.findall(r"^\| `(.+?)` \|.*\(#(.+)\) \|$", page, re.MULTILINE))
    assert place_of.keys() == set(ENDS.values())
    assert [end for end, place in place_of.items() if not says_what_to_do(sections[place])] == []
    busy = sections["the-hpa-has-values-and-does-not-scale-up"]
    assert re.search(f"`ScalingActive +{FOUND.replace(' ', ' +')}`", busy)
    assert says_what_to_do(busy)


@pytest.mark.full
def test_page_leads_to_the_exporter_on_the_pods_node(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "gpu-workload", "default")
    spread = deployment("gpu-workload", "default", **spread_over_nodes("gpu-workload"))
    cluster.kubectl("apply", manifests=[with_replicas(2, spread)])
    table.becomes("which exporter: where the pods are", "gpu0 gpu1", work.nodes, WITHIN_S)
    for pod in cluster.get("pods", "-n=default")["items"]:
        name = pod["metadata"]["name"]
        with port_forward(cluster, exporter_by_the_page(cluster, name), 9400, "/ready"):
            table.becomes("which exporter: whose GPUs it shows", name, holders_by_the_exporter, WITHIN_S)


@pytest.mark.full
def test_adapter_has_no_rule_for_the_metric(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "no rule")
    with applied(cluster, serving_rules()), cluster.values(**OTHER_RULES):
        watched.says(UNKNOWN_METRIC)
        watched.doctor_names("rule")
        table.is_("no rule: get --raw … | grep gpu", "nothing", known_gpu_metrics(cluster))
        watched.goes_on_saying(UNKNOWN_METRIC)
    watched.mends_itself()


@pytest.mark.full
def test_adapter_is_not_installed(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "no adapter")
    with cluster.values(adapter={"deploy": False}):
        watched.says(NO_API)
        watched.doctor_names("adapter")
        table.is_(
            "no adapter: kubectl get --raw",
            "(NotFound): the server could not find the requested resource",
            known_gpu_metrics(cluster),
        )
        watched.goes_on_saying(NO_API)
    watched.mends_itself()


@pytest.mark.full
def test_adapter_does_not_run(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "adapter down")
    with without_adapter(cluster):
        watched.says(NO_ADAPTER)
        watched.doctor_names("adapter")
        table.is_(
            "adapter down: kubectl get --raw",
            "(ServiceUnavailable): the server is currently unable to handle the request",
            known_gpu_metrics(cluster),
        )
        watched.goes_on_saying(NO_ADAPTER)
    watched.mends_itself()


@pytest.mark.full
def test_adapter_asks_where_no_prometheus_is(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "wrong prometheus.url")
    with cluster.values(prometheus={"url": f"http://{HOST}:9091"}):
        watched.says(UNKNOWN_METRIC)
        watched.doctor_names("rule")
        table.becomes(
            "wrong prometheus.url: log of the adapter",
            re.compile(".*unable to update list of all metrics.*connection refused.*", re.DOTALL),
            lambda: adapter_log(cluster),
            WITHIN_S,
        )
        watched.goes_on_saying(UNKNOWN_METRIC)
    watched.mends_itself()


@pytest.mark.full
def test_prometheus_is_gone(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "no Prometheus")
    with without_prometheus(cluster):
        watched.says(NO_PROMETHEUS)
        watched.doctor_names("prometheus")
        watched.goes_on_saying(NO_PROMETHEUS)
    watched.mends_itself()


@pytest.mark.full
def test_exporter_is_gone(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "no exporter")
    with cluster.values():
        cluster.kubectl("delete", "daemonset", "dcgm-exporter", "-n", "monitoring")
        watched.doctor_names("daemonset")
        watched.says(NO_VALUE)
        watched.goes_on_saying(NO_VALUE)
        watched.says(UNKNOWN_METRIC)
        watched.goes_on_saying(UNKNOWN_METRIC)
    watched.mends_itself()


@pytest.mark.full
def test_exporter_without_k(cluster: Cluster, table: Table) -> None:
    watched = Watched(cluster, table, "without -k")
    with cluster.values(**WITHOUT_K):
        watched.doctor_names("owners")
        watched.says(NO_VALUE)
        table.becomes("without -k: GPUs that Prometheus has", "14", series, WITHIN_S)
        table.is_("without -k: those with a pod", "0", series('pod!=""'))
        watched.says(UNKNOWN_METRIC)
        table.is_("without -k: get --raw … | grep gpu", "nothing", known_gpu_metrics(cluster))
    watched.mends_itself()


@pytest.mark.full
def test_exporter_of_one_node_hangs(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "spread", "team-a")
    cluster.load.set("team-a", 0.8)
    spread = deployment("spread", "team-a", **spread_over_nodes("spread"))
    cluster.kubectl("apply", manifests=[with_replicas(2, spread)])
    table.becomes("one of two hangs: where the pods are", "gpu0 gpu1", work.nodes, WITHIN_S)
    table.becomes("one of two hangs: gpu_utilization before", "40 40", work.utilization, WITHIN_S)
    cluster.kubectl("apply", manifests=[autoscaler("spread", "team-a")])
    table.becomes("one of two hangs: the HPA before", FOUND, lambda: scaling_active(work), WITHIN_S)
    exporter = exporter_on(cluster, "gpu1")
    with exporter.frozen("exporter"):
        table.becomes("one of two hangs: gpu_utilization", "40", work.utilization, WITHIN_S)
        table.becomes("one of two hangs: targets that are down", exporter.address, targets_down, WITHIN_S)
        cluster.load.set("team-a", 1.8)
        table.becomes("one of two hangs: gpu_utilization then", "90", work.utilization, WITHIN_S)
        table.stays("one of two hangs: replicas", "2", work.replicas, 15)
        table.is_("one of two hangs: the HPA", FOUND, scaling_active(work))
        cluster.kubectl("delete", "pod", exporter.name.partition("/")[2], "-n", NAMESPACE)
        table.becomes("one of two hangs: replicas after", "4", work.replicas, WITHIN_S)
        table.becomes("one of two hangs: gpu_utilization after", "45 45 45 45", work.utilization, WITHIN_S)


@pytest.mark.full
def test_autoscaler_is_there_before_the_first_series(cluster: Cluster, table: Table) -> None:
    work = Workload(cluster, "infer", "team-a")
    cluster.load.set("team-a", 0.8)
    waiting = with_replicas(2, deployment("infer", "team-a", nodeSelector={"is-wanted": "yes"}))
    cluster.kubectl("apply", manifests=[waiting, autoscaler("infer", "team-a")])
    table.becomes("no series yet: the HPA", UNKNOWN_METRIC, lambda: scaling_active(work), WITHIN_S)
    table.becomes("no series yet: the doctor", "values", lambda: first_broken(cluster), WITHIN_S)
    table.stays("no series yet: replicas", "0 of 2 ready", work.replicas, 12)
    cluster.kubectl("label", "node", "gpu0", "is-wanted=yes")
    try:
        table.becomes("no series yet: the HPA when it comes", FOUND, lambda: scaling_active(work), WITHIN_S)
        table.becomes("no series yet: gpu_utilization then", "40 40", work.utilization, WITHIN_S)
    finally:
        cluster.kubectl("label", "node", "gpu0", "is-wanted-")


@pytest.mark.full
def test_pod_holds_no_gpu(cluster: Cluster, table: Table) -> None:
    other, work = Workload(cluster, "infer", "team-b"), Workload(cluster, "web", "team-a")
    cluster.load.set("team-b", 0.4)
    cluster.load.set("team-a", 0.8)
    without_gpu = with_replicas(2, deployment("web", "team-a", {**GPU_WORK, "resources": {}}))
    cluster.kubectl("apply", manifests=[deployment("infer", "team-b"), without_gpu, autoscaler("web", "team-a")])
    table.becomes("pod without GPU: another's gpu_utilization", "40", other.utilization, WITHIN_S)
    table.becomes("pod without GPU: the HPA", NO_VALUE, lambda: scaling_active(work), WITHIN_S)
    table.is_("pod without GPU: who has a gpu_utilization", "none", holders(cluster, "team-a"))
    table.stays("pod without GPU: replicas", "2", work.replicas, 12)
    cluster.kubectl("apply", manifests=[with_replicas(2, deployment("web", "team-a"))])
    table.becomes("pod without GPU: the HPA when they have one", FOUND, lambda: scaling_active(work), WITHIN_S)
    table.becomes("pod without GPU: gpu_utilization then", "40 40", work.utilization, WITHIN_S)


def with_replicas(count: int, manifest: Object) -> Object:
    """Return a Deployment with so many pods from its start."""
    return {**manifest, "spec": {**manifest["spec"], "replicas": count}}


def adapter_log(cluster: Cluster) -> str:
    """Return what the adapters that run have said."""
    adapters = cluster.agent.real_pods(labels={"app.kubernetes.io/component": "adapter"})
    return "".join(pod.log_of("adapter").read_text() for pod in adapters)


def targets_down() -> str:
    """Return the addresses of exporters that Prometheus does not reach."""
    down = [url for url, health in targets("dcgm-exporter") if health.startswith("down")]
    return " ".join(url.removeprefix("http://").partition(":")[0] for url in down)


def exporter_by_the_page(cluster: Cluster, pod: str) -> str:
    """Return what the page's commands put into $EXPORTER for a pod."""
    variables = {"POD": pod}
    for name, command in re.findall(
        r"^(\w+)=\$\(kubectl (.+?)\)(?: |$)", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    ):
        variables[name] = cluster.kubectl(*shlex.split(Template(command).substitute(variables))).strip()
    return variables["EXPORTER"]


def holders_by_the_exporter() -> str:
    """Return the pods that an exporter at localhost knows to hold a GPU."""
    found = re.findall(r'^DCGM_FI_DEV_GPU_UTIL\{.*,pod="([^"]+)"', fetch("http://localhost:9400/metrics"), re.MULTILINE)
    return " ".join(sorted(set(found)))


def sections_of(page: str) -> dict[str, str]:
    """Return the text below each heading of a page, by what a link to it says."""
    _, *parts = re.split(r"^#{2,3} (.+)$", page, flags=re.MULTILINE)
    places = (re.sub("[^a-z -]", "", title.lower()).replace(" ", "-") for title in parts[::2])
    return dict(zip(places, parts[1::2], strict=True))


def says_what_to_do(section: str) -> bool:
    """Say whether a section names a cure: one for all of it, or one in each row of its table."""
    if "| cure |\n" not in section:
        return re.search(r"\bCure: \w", section) is not None
    cures = [line.split("|")[-2].strip() for line in section.splitlines() if line.startswith("| **")]
    return len(cures) > 0 and all(cures)

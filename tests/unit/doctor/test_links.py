"""All links together: a cluster that is whole, and the same with one thing changed."""

import copy
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.attribution.owners import Why
from exporter.doctor.exporters import CURES
from exporter.doctor.finding import Mark
from exporter.doctor.links import LINKS, examine
from exporter.doctor.report import exit_code
from exporter.doctor.surroundings import MOST_SILENCES, Asked, Surroundings
from exporter.errors import ConfigError, KubeError
from tests.unit.doctor import fake_cluster as lab
from tests.unit.doctor.fake_cluster import Change, FakeCluster, first_broken, setting, text_about, whole

PAGE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"
NODE_LINKS = {"driver", "permissions", "devices", "counters", "profiling", "socket", "allocations"}
PENDING = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}
CRASHING = {
    "conditions": [{"type": "Ready", "status": "False"}],
    "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m"}}}],
}
EXPORTER_IMAGE = "registry/gpu-metrics-exporter:0.1.0"
MONITOR = lab.named("dcgm-exporter", spec={"selector": {"matchLabels": {"app": "dcgm-exporter"}}})


def failing(reason: str) -> dict[str, Any]:
    found = lab.hpa()
    found["status"]["conditions"] = [{"type": "ScalingActive", "status": "False", "reason": reason, "message": "why"}]
    return found


def asking_for(metric: str) -> dict[str, Any]:
    found = copy.deepcopy(lab.hpa())
    found["spec"]["metrics"][0]["pods"]["metric"]["name"] = metric
    return found


def scaled_object(**conditions: str) -> dict[str, Any]:
    told = [{"type": name, "status": status, "reason": "r", "message": "m"} for name, status in conditions.items()]
    triggers = [{"type": "prometheus", "metadata": {"serverAddress": "http://nowhere:9090"}}]
    return lab.named("queue", "team-a", spec={"triggers": triggers}, status={"conditions": told})


def exporter_pod(**status: Any) -> Change:
    return setting(lab.EXPORTERS, [lab.pod("exporter-a", "monitoring", "gpu-1", image=EXPORTER_IMAGE, **status)])


def page(old: str, new: str) -> Change:
    return setting(lab.EXPORTER, lab.PAGE.replace(old, new, 1))


def owner(reason: str) -> Change:
    return page('reason=""', f'reason="{reason}"')


def gpu_nodes(*names: str) -> Change:
    capacity = {"capacity": {"nvidia.com/gpu": "8"}}
    return setting(lab.NODES, [lab.named(name, "", status=capacity) for name in names])


def targets(*found: Any) -> Change:
    return setting(TARGETS, lab.prometheus_says({"activeTargets": found}) if not found else found[0])


def series(*rows: dict[str, str]) -> Change:
    return setting(f"{lab.PROMETHEUS}/query", lab.vector(*rows))


def web(limits: dict[str, str], **status: Any) -> Change:
    return setting(lab.PODS_OF_WEB, [lab.pod("web-0", "team-a", "gpu-1", limits=limits, **status)])


def with_keda(**conditions: str) -> tuple[Change, Change]:
    groups = [lab.api_service(f"{kind}.metrics.k8s.io", "adapter") for kind in ("custom", "external")]
    return setting(lab.SCALED, [scaled_object(**conditions)]), setting(lab.APISERVICES, groups)


TARGETS = f"{lab.PROMETHEUS}/targets"
ALL_LOST = lab.PAGE.replace('gpu_up{gpu="0"} 1', 'gpu_up{gpu="0"} 0').replace("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_XID")
NO_SCALE = setting(lab.SCALE, (404, "not found"))
NO_VALUES = setting(lab.VALUES, {"items": []})
NO_METRICS = setting("/apis/custom.metrics.k8s.io/v1beta1", {"resources": []})
UNAVAILABLE = lab.api_service("custom.metrics.k8s.io", "adapter", "False")
WATCH_DOWN = 'gpu_exporter_kube_watch_up{resource="pods"} 0\n'
OTHER_SPEC = {"selector": {"app": "prometheus"}, "ports": [{"port": 9090}]}
ELSEWHERE = lab.PROMETHEUS.replace("/prometheus:9090", "/other:9090")
OTHER_PROMETHEUS = (
    setting(lab.SERVICES, [lab.named("other", spec=OTHER_SPEC)]),
    setting(f"{ELSEWHERE}/targets", lab.target()),
    setting(f"{ELSEWHERE}/query", lab.vector({"pod": "web-0"})),
)

BREAKAGES: list[tuple[str, str, tuple[Change, ...]]] = [
    ("daemonset", "no DaemonSet", (setting(lab.DAEMONSETS, []),)),
    ("daemonset", "has no pod", (setting(lab.EXPORTERS, []),)),
    ("daemonset", "CrashLoopBackOff: back-off 5m", (exporter_pod(**CRASHING),)),
    ("daemonset", "1 of 2 GPU nodes have no exporter of monitoring/exporter: gpu-2", (gpu_nodes("gpu-1", "gpu-2"),)),
    ("exporter", "is not responding", (setting(lab.EXPORTER, (502, "connection refused")),)),
    ("exporter", "no DCGM_FI_DEV_GPU_UTIL", (page("GPU_UTIL", "GPU_TEMP"),)),
    ("exporter", "sends monitoring/exporter-a nothing about pods", (page("gpu_exporter_nvml_up 1\n", WATCH_DOWN),)),
    ("exporter", "could not reload its counters file", (page("nvml_up 1", "config_reload_success 0"),)),
    ("gpus", "GPU 0 at monitoring/exporter-a is not sampled", (page('gpu="0"} 1\n', 'gpu="0"} 0\n'),)),
    ("gpus", "NVML does not work", (page("nvml_up 1", "nvml_up 0"),)),
    ("gpus", "has let go of all GPUs", (page("nvml_up 1", "released 1"),)),
    ("gpus", "GPU 0 at monitoring/exporter-a is not sampled", (setting(lab.EXPORTER, ALL_LOST),)),
    ("gpus", "exports no GPU", (page("gpu_exporter_gpu_up", "gpu_exporter_gpu_down"),)),
    ("owners", "does not ask kubelet who holds", (page("gpu_exporter_owners_known 1\n", ""),)),
    ("owners", "kubelet_silent", (owner("kubelet_silent"),)),
    ("owners", "unknown_device_id", (owner("unknown_device_id"),)),
    ("owners", "for 101 s", (page("seconds 999", "seconds 899"),)),
    ("prometheus", "no endpoints available", (setting(TARGETS, (503, "no endpoints available")),)),
    ("prometheus", "does not answer like Prometheus", (setting(TARGETS, "<html>"),)),
    ("target", "no ServiceMonitor or PodMonitor selects it", (targets(),)),
    ("target", "though monitoring/dcgm-exporter selects it", (targets(), setting(lab.MONITORS, [MONITOR]))),
    ("target", "context deadline exceeded", (targets(lab.target("down", "context deadline exceeded")),)),
    ("labels", "no series DCGM_FI_DEV_GPU_UTIL", (series(),)),
    ("labels", "honorLabels: true", (series({"pod": "exporter-a", "exported_pod": "web-0"}),)),
    ("labels", "no series in Prometheus names one", (series({"pod": "exporter-a"}),)),
    ("adapter", "is not served", (setting(lab.APISERVICES, []),)),
    ("adapter", "MissingEndpoints: no endpoints", (setting(lab.APISERVICES, [UNAVAILABLE]),)),
    ("rule", "has no rule of that name", (setting(lab.HPAS, [asking_for("gpu_utilisation")]),)),
    ("rule", "the adapter has found no series for it", (NO_METRICS,)),
    (
        "rule",
        "queries prometheus.monitoring.svc:9090, and no Prometheus was found there",
        (NO_METRICS, *OTHER_PROMETHEUS),
    ),
    ("values", "it holds no GPU", (NO_VALUES, web({}))),
    ("values", "it has not started, 0/3 nodes", (NO_VALUES, web({}, **PENDING))),
    ("values", "no series came from node gpu-1", (setting(lab.VALUES, (404, "no such metric")),)),
    ("hpa", "Deployment web, which does not exist", (NO_SCALE, setting(lab.HPAS, [failing("FailedGetScale")]))),
    ("hpa", "FailedGetPodsMetric: why", (setting(lab.HPAS, [failing("FailedGetPodsMetric")]),)),
    ("hpa", "Two autoscalers", (setting(lab.HPAS, [failing("AmbiguousSelector")]),)),
    ("keda", "is paused", with_keda(Ready="True", Paused="True")),
    ("keda", "http://nowhere:9090", with_keda(Ready="False")),
    ("keda", "fallback", with_keda(Ready="True", Fallback="True")),
    ("keda", "external.metrics.k8s.io is not served", (setting(lab.SCALED, [scaled_object(Ready="True")]),)),
]
"""The link that must be named, some words about it, and what is changed."""


def without_reviews() -> lab.Answers:
    """Return a whole cluster that does not say what this user may do, which takes a third of all requests."""
    return {path: answer for path, answer in whole().items() if path != lab.REVIEWS}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with lab.fake_cluster(tmp_path, whole()) as cluster:
        yield cluster


def test_the_page_has_every_link_and_every_reason_for_an_empty_pod() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [link.name for link in LINKS if f"| `{link.name}` |" not in page] == []
    fine = {Why.OWNED, Why.NO_POD, Why.HELD_IN_PARTS}
    assert CURES.keys() == set(Why) - fine
    assert [reason for reason in set(Why) - {Why.OWNED} if f"| `{reason}` |" not in page] == []


def test_an_api_server_that_falls_silent_is_not_waited_for_at_each_link(tmp_path: Path) -> None:
    answers: lab.Answers = {"/version": {}}
    with lab.fake_cluster(tmp_path, answers) as cluster, closing(cluster.look()) as look:
        assert look.api_trouble is None
        asked = []

        def silent() -> None:
            asked.append(1)
            raise KubeError("nothing came")

        for number in range(10):
            with pytest.raises(KubeError):
                look.once(number, lambda: silent() if look.api else None)
    assert len(asked) == MOST_SILENCES


def test_links_stand_in_the_order_in_which_a_value_goes_through_them() -> None:
    subjects = [link.subject for link in LINKS]
    assert subjects == sorted(subjects, key=list(type(subjects[0])).index)
    assert len({link.name for link in LINKS}) == len(LINKS)


def test_a_cluster_that_is_whole_has_no_broken_link(cluster: FakeCluster) -> None:
    found = cluster.examined()
    assert [one for one in found if one.finding.mark is Mark.BROKEN] == []
    assert {one.link for one in found if one.finding.mark is Mark.UNSEEN} == NODE_LINKS
    assert {one.link for one in found} == {link.name for link in LINKS}
    decision = "team-a/web would scale to 2, because the mean is 83 of 50"
    assert [one.finding.seen for one in found if one.link == "hpa"] == [decision]
    assert exit_code(found) == 0


def test_each_broken_link_is_the_first_that_is_named(cluster: FakeCluster) -> None:
    for link, words, changes in BREAKAGES:
        cluster.answers = without_reviews()
        for change in changes:
            change(cluster.answers)
        found = cluster.examined()
        assert (first_broken(found), words in text_about(found, link)) == (link, True), (words, found)


def test_a_renamed_label_that_the_rules_know_is_no_fault(cluster: FakeCluster) -> None:
    cluster.answers[lab.RULES]["data"]["config.yaml"] += "exported_pod"
    cluster.answers[f"{lab.PROMETHEUS}/query"] = lab.vector({"pod": "exporter-a", "exported_pod": "web-0"})
    assert first_broken(cluster.examined()) == "none"


def test_a_monitor_that_prints_both_names_is_no_fault(cluster: FakeCluster) -> None:
    cluster.answers[lab.RULES] = (403, "you may not")
    cluster.answers[f"{lab.PROMETHEUS}/query"] = lab.vector({"pod": "web-0", "exported_pod": "web-0"})
    assert first_broken(cluster.examined()) == "none"


def test_a_first_pod_that_is_pending_is_named_and_not_the_rule(cluster: FakeCluster) -> None:
    nobody = lab.PAGE.replace('reason=""', 'reason="no_pod"').replace('pod="web-0"', 'pod=""')
    for change in (setting(lab.EXPORTER, nobody), series({}), NO_METRICS, NO_VALUES, web({}, **PENDING)):
        change(cluster.answers)
    found = cluster.examined()
    assert (first_broken(found), "no series names a pod yet" in text_about(found, "rule")) == ("values", True), found


def test_autoscalers_on_processor_time_are_somebody_elses(cluster: FakeCluster) -> None:
    by_cpu = failing("FailedGetResourceMetric")
    by_cpu["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": {}}}]
    cluster.answers[lab.HPAS].append(by_cpu)
    assert first_broken(cluster.examined()) == "none"


def test_somebody_elses_adapter_is_named(cluster: FakeCluster) -> None:
    deployment = cluster.answers[lab.DEPLOYMENTS][0]["spec"]["template"]["spec"]
    deployment["containers"][0]["image"] = "datadog/cluster-agent:7"
    deployment["volumes"] = []
    assert "not a prometheus-adapter (datadog/cluster-agent:7)" in text_about(cluster.examined(), "adapter")
    cluster.answers["/apis/custom.metrics.k8s.io/v1beta1"] = {"resources": []}
    assert "Only one adapter" in text_about(cluster.examined(), "rule")


def test_a_kubeconfig_without_rights_breaks_nothing(cluster: FakeCluster) -> None:
    for path in cluster.answers:
        cluster.answers[path] = (403, "you may not")
    cluster.answers["/version"] = {}
    cluster.answers[lab.REVIEWS] = {"status": {"allowed": False}}
    found = cluster.examined()
    assert {one.finding.mark for one in found if one.link != "api"} == {Mark.UNSEEN}
    assert "this user may not get configmaps" in text_about(found, "rights")
    assert exit_code(found) == 3


def test_answers_of_another_form_break_nothing_and_end_nothing(cluster: FakeCluster) -> None:
    for path in cluster.answers:
        cluster.answers = without_reviews() | {path: '{"items": [{}], "metadata": {}}'}
        assert {one.link for one in cluster.examined()} == {link.name for link in LINKS}


def test_without_a_cluster_each_link_is_unseen(tmp_path: Path) -> None:
    def nowhere(_kubeconfig: Path | None) -> Any:
        raise ConfigError("can't use the kubeconfig: there is none")

    with lab.fake_cluster(tmp_path, {}) as cluster:
        settings = cluster.look().settings
    found = list(examine(Surroundings(Asked(settings, root=tmp_path), nowhere)))
    assert {one.finding.mark for one in found} == {Mark.UNSEEN}
    assert "there is none" in text_about(found, "api")


def test_an_exporter_with_tls_or_a_password_is_asked_as_it_wants_or_unseen(cluster: FakeCluster) -> None:
    by_tls = lab.EXPORTER.replace("pods/", "pods/https:")
    cluster.answers |= {lab.EXPORTER: (400, "Client sent an HTTP request to an HTTPS server."), by_tls: lab.PAGE}
    assert first_broken(cluster.examined()) == "none"
    cluster.answers[by_tls] = (401, "Unauthorized")
    found = cluster.examined()
    assert first_broken(found) == "none"
    assert "--url https://USER:PASSWORD@HOST" in text_about(found, "exporter")


def test_an_exporter_and_a_prometheus_that_are_named_need_no_cluster(tmp_path: Path) -> None:
    answers = {
        "/metrics": lab.PAGE,
        "/api/v1/targets": lab.target(),
        "/api/v1/query": lab.vector({"pod": "web-0", "namespace": "team-a"}),
    }
    with lab.fake_cluster(tmp_path, answers) as cluster:
        url = cluster.kubeconfig.read_text().split('"server": "')[1].split('"')[0]
        found = cluster.examined(url=url, prometheus=url)
    held = {one.link for one in found if one.finding.mark is Mark.HOLDS}
    assert held >= {"exporter", "gpus", "owners", "prometheus", "target", "labels"}
    assert first_broken(found) == "none"


def test_a_prometheus_behind_a_password_is_unseen_and_the_cure_says_how(tmp_path: Path) -> None:
    with lab.fake_cluster(tmp_path, {"/api/v1/targets": (401, "no")}) as cluster:
        url = cluster.kubeconfig.read_text().split('"server": "')[1].split('"')[0]
        found = cluster.examined(prometheus=url)
    assert "answered 401" in text_about(found, "prometheus")
    assert "https://USER:PASSWORD@HOST" in text_about(found, "prometheus")
    assert first_broken(found) == "none"


def test_no_password_of_a_url_is_shown(tmp_path: Path) -> None:
    with lab.fake_cluster(tmp_path, {"/api/v1/targets": (401, "no")}) as cluster:
        url = cluster.kubeconfig.read_text().split('"server": "')[1].split('"')[0]
        for login in ("ann:hunter2@", "ann:hunt er2@", "ann:hun/ter2@"):
            asked = url.replace("//", f"//{login}")
            seen = "".join(one.finding.seen + one.finding.cure for one in cluster.examined(url=asked, prometheus=asked))
            assert "er2" not in seen
            assert "127.0.0.1" in seen

"""The chart in a real cluster: installed, upgraded, rolled back, uninstalled, beside others and by the wrong people.

The namespace enforces Pod Security's level `privileged` and warns of what is not `restricted`.
"""

import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart import looks
from tests.chart.cluster import Cluster
from tests.chart.helm import CHART, NAMESPACE, Helm, Refused
from tests.chart.values import MATRIX, merged, read_values
from tests.cluster import enclosure
from tests.cluster.control_plane import ControlPlane, Manifest
from tests.pages import commands, page, section
from tests.tools.build import build
from tests.tools.schemas import fetch_schemas

SOCKET_AND_ROOT = {
    'restricted volume types (volume "pod-gpu-resources" uses restricted volume type "hostPath")',
    'runAsNonRoot != true (container "exporter" must not set securityContext.runAsNonRoot=false)',
    'runAsUser=0 (container "exporter" must not set runAsUser=0)',
}
NOBODY = {"kubernetes": {"podMapping": False}}
GUIDE = read_values("guide")
FULL_CHAIN = read_values("full-chain")
WITHOUT_CRDS = {
    "autoscaling": [one for one in FULL_CHAIN["autoscaling"] if one.get("type") != "keda"],
    "servingMonitors": [],
}
GUIDE_S_SERVICE_MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "ServiceMonitor",
    "metadata": {"name": "dcgm-exporter", "namespace": "monitoring"},
    "spec": {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "dcgm-exporter"}},
        "endpoints": [{"port": "metrics", "interval": "15s", "path": "/metrics"}],
    },
}
FROM_DCGM = page("coming-from-dcgm-exporter")
TROUBLESHOOTING = page("troubleshooting")
DCGM_RELEASE = Path(__file__).parent / "data" / "dcgm-exporter-release.yaml"
DELETE_IT = "kubectl delete servicemonitor dcgm-exporter -n monitoring"


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[Cluster]:
    if not enclosure.is_inside():
        pytest.skip("a real cluster runs enclosed: `make chart-test`")
    tools = build("etcd", "kubernetes", "helm")
    with ControlPlane(tools, enclosure.FOLDER) as plane:
        cluster = Cluster(plane, tools["helm"], enclosure.FOLDER, sorted(fetch_schemas().glob("*.yaml")))
        cluster.create_namespaces(NAMESPACE, enforce="privileged", warn="restricted")
        cluster.create_namespaces("restricted", enforce="restricted")
        cluster.create_namespaces("gpu-monitoring", "gpu-config", "grafana", "inference")
        yield cluster


@pytest.fixture(scope="module", params=[False, True], ids=["without-crds", "with-crds"])
def knows_crds(request: pytest.FixtureRequest) -> bool:
    """Whether the cluster knows the kinds of Prometheus' operator, KEDA and cert-manager. It orders the tests."""
    return bool(request.param)


@pytest.fixture
def either_cluster(knows_crds: bool, whole_cluster: Cluster) -> Iterator[Cluster]:
    """Once without these kinds and once with them; without a release."""
    yield from _without_releases(whole_cluster, knows_crds=knows_crds)


@pytest.fixture
def bare_cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """Without these kinds."""
    yield from _without_releases(whole_cluster, knows_crds=False)


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """With these kinds."""
    yield from _without_releases(whole_cluster, knows_crds=True)


def _without_releases(cluster: Cluster, *, knows_crds: bool) -> Iterator[Cluster]:
    if knows_crds:
        cluster.install_crds()
    else:
        cluster.remove_crds()
    yield cluster
    if releases := cluster.helm("list", "--short").output.split():
        cluster.helm("uninstall", *releases)


def full_chain(cluster: Cluster) -> dict[str, Any]:
    """The full chain, as far as the cluster knows it: ScaledObjects and servers' monitors are asked for by name."""
    return FULL_CHAIN if cluster.has_crds else merged(FULL_CHAIN, WITHOUT_CRDS)


def daemon_set(cluster: Cluster, name: str = "dcgm-exporter") -> Any:
    return cluster.get("daemonset", name, "-n", NAMESPACE)["spec"]


def test_install_upgrade_rollback_and_uninstall_leave_nothing(either_cluster: Cluster) -> None:
    cluster = either_cluster
    cluster.install(GUIDE)
    first, objects = daemon_set(cluster), cluster.manifest()
    cluster.upgrade(merged(full_chain(cluster), read_values("everything-on")))
    second, more = daemon_set(cluster), cluster.manifest()
    assert len(cluster.existing(more)) == len(more) > len(objects)
    cluster.helm("rollback", "dcgm-exporter", "1")
    assert daemon_set(cluster) == first != second
    assert len(cluster.existing(objects)) == len(objects)
    cluster.helm("uninstall", "dcgm-exporter")
    assert cluster.existing([*objects, *more]) == []


def test_an_upgrade_without_a_change_changes_nothing(either_cluster: Cluster) -> None:
    cluster = either_cluster
    cluster.install(full_chain(cluster))
    first = _generations(cluster)
    cluster.upgrade(full_chain(cluster))
    assert _generations(cluster) == first


def _generations(cluster: Cluster) -> dict[str, Any]:
    """What the API server counts up at a change, or the contents where it counts nothing."""
    found = cluster.get_all(cluster.manifest())
    return {
        f"{one['kind']} {one['metadata']['name']}": one["metadata"].get("generation")
        or one.get("data")
        or one.get("rules")
        for one in found
    }


def test_the_only_warnings_are_of_the_kubelet_s_socket_and_of_root(either_cluster: Cluster) -> None:
    assert either_cluster.install(GUIDE).unrestricted == SOCKET_AND_ROOT
    assert either_cluster.upgrade(full_chain(either_cluster)).unrestricted == SOCKET_AND_ROOT


def test_without_both_there_is_no_warning(either_cluster: Cluster) -> None:
    assert either_cluster.install(merged(full_chain(either_cluster), NOBODY)).warnings == ()


@pytest.mark.parametrize("values", [NOBODY, read_values("mock"), merged(NOBODY, read_values("adapter"))])
def test_pods_without_both_are_taken_where_restricted_is_enforced(
    values: dict[str, Any], cluster: Cluster, helm: Helm
) -> None:
    rendered = helm.template(values, "--namespace=restricted")
    templates = [one["spec"]["template"] for one in (*rendered.all("DaemonSet"), *rendered.all("Deployment"))]
    pods = [_pod(template, f"pod-{number}") for number, template in enumerate(templates)]
    cluster.kubectl("create", "--dry-run=server", manifests=[*pods, *rendered.all("Pod")])


def test_pods_with_the_socket_are_not(cluster: Cluster, helm: Helm) -> None:
    template = looks.daemon_set(helm.template(GUIDE, "--namespace=restricted"))["spec"]["template"]
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        cluster.kubectl("create", "--dry-run=server", manifests=[_pod(template, "one")])


def _pod(template: dict[str, Any], name: str) -> dict[str, Any]:
    meta = {"labels": template["metadata"]["labels"], "name": name, "namespace": "restricted"}
    # A pod's account has to be there, and a dry run makes none.
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_a_scaled_object_that_is_asked_for_needs_keda(bare_cluster: Cluster) -> None:
    with pytest.raises(Refused, match="ScaledObject"):
        bare_cluster.install(FULL_CHAIN)


def test_notes_tell_the_next_command_and_it_works(bare_cluster: Cluster) -> None:
    cluster = bare_cluster
    notes = cluster.install(GUIDE).output
    assert "does not know ServiceMonitors" in notes
    settings = re.findall(r"(\w+)NilUsesHelmValues=false", notes)
    assert settings == ["serviceMonitorSelector", "ruleSelector"]
    [command] = re.findall(r"^ *helm (upgrade dcgm-exporter CHART .*)$", notes, re.MULTILINE)
    cluster.install_crds()
    notes = cluster.helm(*command.replace("CHART", str(CHART)).split()).output
    assert "ServiceMonitor dcgm-exporter-metrics is created" in notes
    assert cluster.get("servicemonitor", "dcgm-exporter-metrics", "-n", NAMESPACE)
    assert "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS" in str(daemon_set(cluster))


def run(cluster: Cluster, commands: Iterable[str]) -> str:
    """Run commands of a page, with this chart; return what they print."""
    said = []
    for command in commands:
        tool, *arguments = shlex.split(command.replace("./chart", str(CHART)), comments=True)
        said.append(cluster.helm(*arguments).output if tool == "helm" else cluster.kubectl(*arguments))
    return "".join(said)


def test_a_release_of_dcgm_exporter_s_chart_is_upgraded_in_place(cluster: Cluster, tmp_path: Path) -> None:
    """Same names, selectors and service: nothing is created anew that has to stay, and nothing of the old is left.

    The commands are those of docs/coming-from-dcgm-exporter.md, up to `helm test`: it asks pods, and there is no node.
    """
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: dcgm-exporter, version: 4.8.2}")
    shutil.copy(DCGM_RELEASE, tmp_path / "templates")
    cluster.helm("install", "dcgm-exporter", str(tmp_path), values={"serviceMonitor": {"interval": "20s"}})
    before, service = cluster.manifest(), cluster.get("service", "dcgm-exporter", "-n", NAMESPACE)
    identity = cluster.get("daemonset", "dcgm-exporter", "-n", NAMESPACE)["metadata"]["uid"]
    steps = commands(section(FROM_DCGM, "A release of NVIDIA's chart"))
    looked, values, nodes, upgrade, status, desired, test, *doctor = steps
    assert test.startswith("helm test")
    assert doctor[-1] == ".venv/bin/gpu-metrics-exporter doctor"
    assert run(cluster, [nodes]) == ""
    assert "dcgm-exporter-4.8.2" in run(cluster, [looked])
    assert "interval: 20s" in run(cluster, [values])
    assert "successfully rolled out" in run(cluster, [upgrade, status])
    assert "DESIRED" in run(cluster, [desired])
    after = cluster.get("daemonset", "dcgm-exporter", "-n", NAMESPACE)
    assert after["metadata"]["uid"] == identity
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "REGISTRY/gpu-metrics-exporter:0.1.0"
    assert cluster.get("service", "dcgm-exporter", "-n", NAMESPACE)["spec"]["clusterIP"] == service["spec"]["clusterIP"]
    monitor = cluster.get("servicemonitor", "dcgm-exporter-metrics", "-n", NAMESPACE)
    assert monitor["spec"]["endpoints"][0]["interval"] == "20s"
    kept = set(cluster.existing(before))
    assert {"daemonset.apps/dcgm-exporter", "service/dcgm-exporter", "serviceaccount/dcgm-exporter"} <= kept
    assert "servicemonitor.monitoring.coreos.com/dcgm-exporter" not in kept
    assert "role.rbac.authorization.k8s.io/dcgm-exporter-read-cm" not in kept
    run(cluster, commands(section(FROM_DCGM, "The way back")))
    assert len(cluster.existing(before)) == len(before)


def test_a_hand_made_daemon_set_of_dcgm_exporter_s_is_changed_in_place_and_back(cluster: Cluster) -> None:
    """The commands are those of docs/coming-from-dcgm-exporter.md."""
    labels = {"app.kubernetes.io/name": "dcgm-exporter", "app.kubernetes.io/version": "4.8.2"}
    mount = {"name": "pod-gpu-resources", "mountPath": "/var/lib/kubelet/pod-resources", "readOnly": True}
    container: Manifest = {
        "name": "dcgm-exporter",
        "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
        "env": [{"name": "DCGM_EXPORTER_KUBERNETES", "value": "true"}],
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}},
        "resources": {"limits": {"cpu": "200m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [mount],
    }
    volume = {"name": "pod-gpu-resources", "hostPath": {"path": "/var/lib/kubelet/pod-resources"}}
    made = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "dcgm-exporter", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [volume]}},
        },
    }
    cluster.kubectl("create", manifests=[made])
    run(cluster, commands(section(FROM_DCGM, "A DaemonSet of your own")))
    [changed] = daemon_set(cluster)["template"]["spec"]["containers"]
    assert changed["image"] == "REGISTRY/gpu-metrics-exporter:0.1.0"
    assert not changed["securityContext"]["capabilities"].get("add")
    assert changed["resources"]["limits"] == {"memory": "256Mi"}
    assert changed["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert changed["env"] == container["env"]
    assert changed["volumeMounts"] == container["volumeMounts"]
    [back] = re.findall(r"`(kubectl rollout undo [^`]*)`", FROM_DCGM)
    run(cluster, [back])
    assert daemon_set(cluster)["template"]["spec"]["containers"][0]["image"] == container["image"]
    cluster.kubectl("delete", manifests=[made])


def test_what_troubleshooting_asks_a_cluster_is_answered(cluster: Cluster) -> None:
    """Of a kind that is not here, the same is asked of another one."""
    cluster.install()
    for heading in ("No exporter, no GPUs", "Nothing in Prometheus", "Two exporters"):
        asked = [one.partition(" | ")[0] for one in commands(section(TROUBLESHOOTING, heading)) if " get " in one]
        assert "dcgm-exporter" in run(cluster, [one.replace("get prometheus ", "get servicemonitor ") for one in asked])


@pytest.mark.parametrize("context", [{"privileged": True}, {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}])
def test_the_api_server_takes_a_privileged_exporter(context: dict[str, Any], cluster: Cluster) -> None:
    cluster.install({"securityContext": context})


def test_guide_s_own_service_monitor_can_be_applied_and_notes_tell_to_delete_it(cluster: Cluster) -> None:
    assert DELETE_IT not in cluster.install(GUIDE).output
    cluster.kubectl("apply", manifests=[GUIDE_S_SERVICE_MONITOR])
    assert DELETE_IT in cluster.upgrade(GUIDE).output
    cluster.kubectl(*DELETE_IT.split()[1:])
    assert DELETE_IT not in cluster.upgrade(GUIDE).output
    assert cluster.get("servicemonitor", "dcgm-exporter-metrics", "-n", NAMESPACE)


def test_guide_s_own_service_monitor_may_be_there_first(cluster: Cluster) -> None:
    cluster.kubectl("apply", manifests=[GUIDE_S_SERVICE_MONITOR])
    assert DELETE_IT in cluster.install(GUIDE).output
    cluster.kubectl(*DELETE_IT.split()[1:])


def test_two_releases_live_in_one_namespace(cluster: Cluster) -> None:
    values = merged(GUIDE, read_values("everything-on"))
    for release in ("blue", "green"):
        cluster.install(values, release=release)
    green = cluster.manifest("green")
    cluster.helm("uninstall", "blue")
    assert len(cluster.existing(green)) == len(green)


def test_a_second_adapter_is_refused_with_the_name_of_the_first(cluster: Cluster) -> None:
    adapter = {"adapter": {"deploy": True}}
    cluster.install(adapter, release="blue")
    served = "already served by the Service blue-dcgm-exporter-adapter in namespace monitoring"
    with pytest.raises(Refused, match=served):
        cluster.install(adapter, release="green")
    cluster.upgrade(adapter, release="blue")


def test_notes_warn_of_another_exporter_of_these_series(cluster: Cluster) -> None:
    labels = {"app": "nvidia-dcgm-exporter"}
    container = {"name": "x", "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless"}
    other = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nvidia-dcgm-exporter", "namespace": "gpu-monitoring"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    warned = "DaemonSet nvidia-dcgm-exporter in namespace gpu-monitoring exports the same series"
    assert warned not in cluster.install().output
    cluster.kubectl("create", manifests=[other])
    assert warned in cluster.upgrade().output
    cluster.kubectl("delete", manifests=[other])


def test_an_account_with_rights_in_its_namespace_alone_can_install_without_the_look_around(cluster: Cluster) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ann", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
    }
    cluster.kubectl("apply", manifests=[binding])
    with pytest.raises(Refused, match='User "ann" cannot list'):
        cluster.install({}, "--kube-as-user=ann")
    cluster.install({"checkCluster": False}, "--kube-as-user=ann")


@pytest.mark.parametrize("name", MATRIX)
def test_the_api_server_takes_every_object(name: str, cluster: Cluster, helm: Helm) -> None:
    objects: list[Manifest] = list(helm.template(read_values(name)).objects)
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", manifests=objects)

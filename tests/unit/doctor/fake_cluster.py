"""A cluster as the doctor sees it: answers by path, of an API server that also leads to pods and Services."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from exporter.cli.flags import Serve, parse
from exporter.doctor.finding import Examined, Mark
from exporter.doctor.links import examine
from exporter.doctor.surroundings import Asked, Surroundings
from tests.json_handler import JsonHandler

Answers = dict[str, Any]
"""What each path answers: an object, a list of objects, a text, or a status with a message."""

PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
EXPORTER = "/api/v1/namespaces/monitoring/pods/exporter-a:9400/proxy/metrics"
PODS_OF_WEB = "/api/v1/namespaces/team-a/pods"
VALUES = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/team-a/pods/*/gpu_utilization"
HPAS = "/apis/autoscaling/v2/horizontalpodautoscalers"
SCALED = "/apis/keda.sh/v1alpha1/scaledobjects"
SERVICES = "/api/v1/services"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
DAEMONSETS = "/apis/apps/v1/daemonsets"
EXPORTERS = "/api/v1/namespaces/monitoring/pods"
NODES = "/api/v1/nodes"
SCALE = "/apis/apps/v1/namespaces/team-a/deployments/web/scale"
RULES = "/api/v1/namespaces/monitoring/configmaps/rules"
MONITORS = "/apis/monitoring.coreos.com/v1/servicemonitors"
DEPLOYMENTS = "/apis/apps/v1/namespaces/monitoring/deployments"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

PAGE = """\
gpu_exporter_build_info{version="0.1.0",source="nvml"} 1
gpu_exporter_nvml_up 1
gpu_exporter_gpu_up{gpu="0"} 1
gpu_exporter_owners_known 1
gpu_exporter_snapshot_timestamp_seconds{gpu="0"} 1000
gpu_exporter_pod_resources_timestamp_seconds 999
gpu_exporter_owner_info{gpu="0",reason="",source="device_plugin"} 1
DCGM_FI_DEV_GPU_UTIL{gpu="0",namespace="team-a",pod="web-0",container="main"} 83
"""


def named(name: str, namespace: str = "monitoring", **parts: Any) -> dict[str, Any]:
    labels = parts.pop("labels", {})
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, **parts}


def pod(name: str, namespace: str, node: str, **parts: Any) -> dict[str, Any]:
    image = parts.pop("image", "server")
    container = {"name": "main", "image": image, "resources": {"limits": parts.pop("limits", {})}}
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": f"10.0.0.{len(name)}", "conditions": [ready], **parts}
    return named(name, namespace, spec={"nodeName": node, "containers": [container]}, status=status)


def hpa(name: str = "web", **spec: Any) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": "50"}
    metric = {"type": "Pods", "pods": {"metric": {"name": "gpu_utilization"}, "target": target}}
    usual = {
        "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [metric],
    }
    active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "fine"}
    return named(name, "team-a", spec=usual | spec, status={"conditions": [active]})


def prometheus_says(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


def vector(*rows: Mapping[str, str]) -> dict[str, Any]:
    return prometheus_says({"result": [{"metric": dict(row), "value": [0, "1"]} for row in rows]})


def target(health: str = "up", error: str = "") -> dict[str, Any]:
    url = "http://10.0.0.10:9400/metrics"
    found = {"scrapeUrl": url, "health": health, "lastError": error, "labels": {"job": "dcgm-exporter"}}
    return prometheus_says({"activeTargets": [found]})


def api_service(group: str, service: str, status: str = "True") -> dict[str, Any]:
    available = {"type": "Available", "status": status, "reason": "MissingEndpoints", "message": "no endpoints"}
    spec = {"group": group, "version": "v1beta1", "service": {"namespace": "monitoring", "name": service}}
    return named(f"v1beta1.{group}", "", spec=spec, status={"conditions": [available]})


def whole() -> Answers:
    """Return the answers of a cluster in which every link holds: one exporter, one pod at 83 of 50 %, one HPA."""
    selector = {"matchLabels": {"app": "exporter"}}
    template = {"spec": {"containers": [{"image": "registry/gpu-metrics-exporter:0.1.0"}]}}
    exporter = pod("exporter-a", "monitoring", "gpu-1", image="registry/gpu-metrics-exporter:0.1.0")
    web = pod("web-0", "team-a", "gpu-1", limits={"nvidia.com/gpu": "1"})
    adapter = {
        "metadata": {"labels": {"app": "adapter"}},
        "spec": {
            "containers": [
                {
                    "image": "registry/prometheus-adapter:v0.12.0",
                    "args": ["--prometheus-url=http://prometheus.monitoring.svc:9090", "--v=4", "--config=/etc/a"],
                }
            ],
            "volumes": [{"name": "rules", "configMap": {"name": "rules"}}],
        },
    }
    prometheus_ports = [{"name": "http-web", "port": 9090}]
    prometheus = {"selector": {"app.kubernetes.io/name": "prometheus"}, "ports": prometheus_ports}
    return {
        "/version": {"gitVersion": "v1.36.0"},
        DAEMONSETS: [named("exporter", spec={"selector": selector, "template": template})],
        EXPORTERS: [exporter],
        NODES: [named("gpu-1", "", status={"capacity": {"nvidia.com/gpu": "8"}}), named("cpu-1", "", status={})],
        SERVICES: [named("prometheus", spec=prometheus), named("exporter", labels={"app": "dcgm-exporter"}, spec={})],
        EXPORTER: PAGE,
        f"{PROMETHEUS}/targets": target(),
        f"{PROMETHEUS}/query": vector({"pod": "web-0", "namespace": "team-a"}),
        MONITORS: [],
        "/apis/monitoring.coreos.com/v1/podmonitors": [],
        APISERVICES: [named("v1.", "", spec={"version": "v1"}), api_service("custom.metrics.k8s.io", "adapter")],
        "/api/v1/namespaces/monitoring/services/adapter": named("adapter", spec={"selector": {"app": "adapter"}}),
        DEPLOYMENTS: [named("adapter", spec={"template": adapter})],
        RULES: named("rules", data={"config.yaml": "- seriesQuery: x\n  name: {as: gpu_utilization}\n"}),
        "/apis/custom.metrics.k8s.io/v1beta1": {"resources": [{"name": "pods/gpu_utilization"}]},
        HPAS: [hpa()],
        SCALE: {"spec": {"replicas": 1}, "status": {"replicas": 1, "selector": "app=web"}},
        PODS_OF_WEB: [web],
        VALUES: {"items": [{"describedObject": {"name": "web-0"}, "value": "83"}]},
        SCALED: [],
        REVIEWS: {"status": {"allowed": True}},
    }


Change = Callable[[Answers], None]


def setting(path: str, answer: Any) -> Change:
    """Return what gives a path another answer."""

    def change(answers: Answers) -> None:
        answers[path] = deepcopy(answer)

    return change


class FakeCluster:
    """The API server, at the address that its kubeconfig names."""

    def __init__(self, folder: Path, port: int, answers: Answers) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.answers = answers
        cluster = {"name": "lab", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "lab", "context": {"cluster": "lab", "user": "lab"}}
        user = {"name": "lab", "user": {"token": "secret"}}
        config = {"current-context": "lab", "contexts": [context], "clusters": [cluster], "users": [user]}
        self.kubeconfig.write_text(json.dumps(config), encoding="utf-8")

    def look(self, *flags: str, **asked: Any) -> Surroundings:
        """Return the surroundings of a laptop with this cluster's kubeconfig."""
        command = parse(flags, {}, "host")
        assert isinstance(command, Serve)
        root = self.kubeconfig.parent
        return Surroundings(Asked(command.settings, kubeconfig=self.kubeconfig, root=root, **asked))

    def examined(self, *flags: str, **asked: Any) -> list[Examined]:
        """Return all findings of somebody with a laptop."""
        with closing(self.look(*flags, **asked)) as look:
            return list(examine(look))

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        found = self.answers.get(path)
        if found is None:
            return 404, json.dumps({"message": "the server could not find the requested resource"}).encode()
        if isinstance(found, tuple):
            return found[0], json.dumps({"message": found[1]}).encode()
        if isinstance(found, list):
            return 200, json.dumps({"metadata": {}, "items": found}).encode()
        return 200, found.encode() if isinstance(found, str) else json.dumps(found).encode()


@contextmanager
def fake_cluster(folder: Path, answers: Answers) -> Iterator[FakeCluster]:
    """Have such a cluster while `with` lasts."""

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        wbufsize = -1  # head and body in one write

        def do_GET(self) -> None:
            status, body = cluster.answer(unquote(urlsplit(self.path).path))
            self.send(body, status)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster = FakeCluster(folder, server.server_port, answers)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


def first_broken(found: list[Examined]) -> str:
    """Return the first broken link."""
    return next((one.link for one in found if one.finding.mark is Mark.BROKEN), "none")


def text_about(found: list[Examined], link: str) -> str:
    """Return all that was found about a link."""
    return " ".join(f"{one.finding.seen} {one.finding.cure}" for one in found if one.link == link)

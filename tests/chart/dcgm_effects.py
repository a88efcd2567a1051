"""What each value of dcgm-exporter's chart does: one value that is not its default, and what is then found where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.cli.config_file import INTERVAL, parse_config
from tests.chart import looks
from tests.chart.helm import Rendered


@dataclass(frozen=True, slots=True)
class Effect:
    """What is given, and what is then found where."""

    given: object
    look: Callable[[Rendered], object]
    found: object
    beside: Mapping[str, Any] = field(default_factory=dict)


def at(part: Callable[[Rendered], Any], *path: str | int) -> Callable[[Rendered], object]:
    """Look along a path in a part of what is rendered; None where it ends early."""

    def look(rendered: Rendered) -> object:
        found: Any = part(rendered)
        for step in path:
            is_there = step in found if isinstance(found, Mapping) else isinstance(step, int) and found
            if not is_there:
                return None
            found = found[step]
        return found

    return look


def _labels_kept(rendered: Rendered) -> object:
    endpoint = looks.endpoint(rendered)
    return endpoint["honorLabels"], [one["action"] for one in endpoint["relabelings"]]


def _collect_interval(rendered: Rendered) -> object:
    """What the exporter reads of its configuration file."""
    text = looks.config_map(rendered, "dcgm-exporter-config").get("config.yaml")
    return parse_config(text, "config.yaml").texts[INTERVAL][0] if text else None


def same(part: Callable[[Rendered], Any], *path: str | int, given: object) -> Effect:
    """The value itself is found."""
    return Effect(given, at(part, *path), given)


def variable(name: str, given: object, value: str) -> Effect:
    return Effect(given, at(looks.environment, name), value)


def argument(given: object, text: str, beside: Mapping[str, Any] | None = None) -> Effect:
    return Effect(given, lambda rendered: text in looks.exporter(rendered)["args"], found=True, beside=beside or {})


def made(kind: str, name: str, *, is_made: bool, given: object, beside: Mapping[str, Any] | None = None) -> Effect:
    return Effect(given, lambda rendered: looks.has_kind(rendered, kind, name), is_made, beside or {})


_SUBPATH = {
    "name": "exporter-metrics-volume",
    "mountPath": "/etc/dcgm-exporter/default-counters.csv",
    "subPath": "default-counters.csv",
}
_METRICS_VOLUME = {
    "name": "exporter-metrics-volume",
    "configMap": {
        "name": "exporter-metrics-config-map",
        "items": [{"key": "metrics", "path": "default-counters.csv"}],
    },
}
_DUMPS = {"debugDump": {"enabled": True}}
_POD_LABELS = {"kubernetes": {"enablePodLabels": True}}
_COUNTERS = "DCGM_FI_DEV_GPU_UTIL, gauge, busy"

EFFECTS = {
    "image.repository": Effect("registry.example.com/x", at(looks.exporter, "image"), "registry.example.com/x:0.1.0"),
    "image.pullPolicy": same(looks.exporter, "imagePullPolicy", given="Always"),
    "image.tag": Effect("9", at(looks.exporter, "image"), "gpu-metrics-exporter:9"),
    "arguments": same(looks.exporter, "args", given=["-c", "5000"]),
    "imagePullSecrets": same(looks.pod, "imagePullSecrets", given=[{"name": "x"}]),
    "nameOverride": same(looks.pod_meta, "labels", "app.kubernetes.io/name", given="gpus"),
    "fullnameOverride": same(looks.daemon_set, "metadata", "name", given="gpus"),
    "namespaceOverride": same(looks.daemon_set, "metadata", "namespace", given="elsewhere"),
    "hostPID": same(looks.pod, "hostPID", given=True),
    "runtimeClassName": same(looks.pod, "runtimeClassName", given="nvidia"),
    "priorityClassName": same(looks.pod, "priorityClassName", given="high"),
    "hostNetwork": same(looks.pod, "hostNetwork", given=True),
    "serviceAccount.create": made("ServiceAccount", "dcgm-exporter", is_made=False, given=False),
    "serviceAccount.annotations": same(
        lambda all_: all_.one("ServiceAccount", "dcgm-exporter"), "metadata", "annotations", given={"a": "b"}
    ),
    "serviceAccount.name": same(looks.pod, "serviceAccountName", given="reader"),
    "rollingUpdate.maxUnavailable": same(
        looks.daemon_set, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable", given=3
    ),
    "rollingUpdate.maxSurge": same(looks.daemon_set, "spec", "updateStrategy", "rollingUpdate", "maxSurge", given=1),
    "podLabels": Effect({"team": "gpu"}, at(looks.pod_meta, "labels", "team"), "gpu"),
    "podAnnotations": Effect({"team": "gpu"}, at(looks.pod_meta, "annotations", "team"), "gpu"),
    "podSecurityContext": Effect({"fsGroup": 2000}, at(looks.pod, "securityContext", "fsGroup"), 2000),
    "securityContext.runAsNonRoot": same(looks.exporter, "securityContext", "runAsNonRoot", given=True),
    "securityContext.runAsUser": same(looks.exporter, "securityContext", "runAsUser", given=1000),
    "securityContext.capabilities.add": same(
        looks.exporter, "securityContext", "capabilities", "add", given=["SYS_ADMIN"]
    ),
    "securityContext.capabilities.drop": same(
        looks.exporter, "securityContext", "capabilities", "drop", given=["NET_RAW"]
    ),
    "securityContext.allowPrivilegeEscalation": same(
        looks.exporter, "securityContext", "allowPrivilegeEscalation", given=True
    ),
    "service.enable": made("Service", "dcgm-exporter", is_made=False, given=False),
    "service.type": same(looks.service, "spec", "type", given="NodePort"),
    "service.internalTrafficPolicy": same(looks.service, "spec", "internalTrafficPolicy", given="Local"),
    "service.clusterIP": same(looks.service, "spec", "clusterIP", given="None"),
    "service.port": Effect(
        9500,
        lambda all_: (
            looks.service(all_)["spec"]["ports"][0]["port"],
            looks.exporter(all_)["ports"][0]["containerPort"],
        ),
        (9500, 9500),
        beside={"service": {"address": "$(POD_IP):9500"}},  # one without the other is refused
    ),
    "service.address": variable("DCGM_EXPORTER_LISTEN", "0.0.0.0:9400", "0.0.0.0:9400"),
    "service.annotations": same(looks.service, "metadata", "annotations", given={"prometheus.io/scrape": "true"}),
    "service.webReadTimeout": argument("20s", "--web-read-timeout=20s"),
    "service.webWriteTimeout": argument("40s", "--web-write-timeout=40s"),
    "resources.limits.cpu": same(looks.exporter, "resources", "limits", "cpu", given="1"),
    "resources.limits.memory": same(looks.exporter, "resources", "limits", "memory", given="1Gi"),
    "resources.requests.cpu": same(looks.exporter, "resources", "requests", "cpu", given="1"),
    "resources.requests.memory": same(looks.exporter, "resources", "requests", "memory", given="1Gi"),
    "serviceMonitor.apiVersion": same(looks.own_monitor, "apiVersion", given="monitoring.example.com/v1"),
    "serviceMonitor.enabled": made("ServiceMonitor", "dcgm-exporter-metrics", is_made=False, given=False),
    "serviceMonitor.interval": same(looks.endpoint, "interval", given="30s"),
    "serviceMonitor.scrapeTimeout": same(looks.endpoint, "scrapeTimeout", given="5s"),
    "serviceMonitor.honorLabels": Effect(given=False, look=_labels_kept, found=(False, ["replace"])),
    "serviceMonitor.additionalLabels": Effect(
        {"release": "x"}, at(looks.own_monitor, "metadata", "labels", "release"), "x"
    ),
    "serviceMonitor.relabelings": Effect(
        [{"targetLabel": "nodename", "replacement": "x"}],
        lambda all_: looks.endpoint(all_)["relabelings"][-1],
        {"targetLabel": "nodename", "replacement": "x"},
    ),
    "serviceMonitor.metricRelabelings": Effect(
        [{"action": "drop", "regex": "x"}],
        at(looks.endpoint, "metricRelabelings", -1),
        {"action": "drop", "regex": "x"},
    ),
    "nodeSelector": same(looks.pod, "nodeSelector", given={"node": "gpu"}),
    "tolerations": Effect([{"operator": "Exists"}], at(looks.pod, "tolerations", 0), {"operator": "Exists"}),
    "affinity": same(looks.pod, "affinity", given={"nodeAffinity": {}}),
    "extraHostVolumes": Effect(
        [{"name": "x", "hostPath": "/opt/bin"}], at(looks.volumes, "x"), {"name": "x", "hostPath": {"path": "/opt/bin"}}
    ),
    "extraConfigMapVolumes": Effect(
        [_METRICS_VOLUME],
        lambda all_: (
            looks.volumes(all_).get("exporter-metrics-volume"),
            "DCGM_FI_DEV_GPU_UTIL" in looks.config_map(all_, "exporter-metrics-config-map").get("metrics", ""),
        ),
        (_METRICS_VOLUME, True),
    ),
    "extraVolumeMounts": Effect(
        [_SUBPATH],
        at(looks.mounts, _SUBPATH["mountPath"]),
        _SUBPATH,
        beside={"extraConfigMapVolumes": [_METRICS_VOLUME]},
    ),
    "extraEnv": Effect([{"name": "X", "value": "y"}], at(looks.environment, "X"), "y"),
    "kubeletPath": same(looks.volumes, "pod-gpu-resources", "hostPath", "path", given="/var/lib/k0s/pod-resources"),
    "kubernetes.enablePodLabels": Effect(
        given=True,
        look=lambda all_: (
            looks.environment(all_).get("DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS"),
            looks.rules_of_cluster_roles(all_),
            looks.pod(all_)["automountServiceAccountToken"],
        ),
        found=("true", {("pods", "list"), ("pods", "watch")}, True),
    ),
    "kubernetes.enablePodUID": Effect(
        given=True,
        look=lambda all_: (
            looks.environment(all_).get("DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID"),
            looks.rules_of_cluster_roles(all_),
        ),
        found=("true", {("pods", "list"), ("pods", "watch")}),
    ),
    "kubernetes.podLabelAllowlistRegex": variable(
        "DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX", ["^app$", "^team$"], "^app$,^team$"
    ),
    "kubernetes.rbac.create": Effect(given=False, look=looks.rules_of_cluster_roles, found=set(), beside=_POD_LABELS),
    "kubernetesDRA.enabled": Effect(
        given=True,
        look=lambda all_: (looks.environment(all_).get("KUBERNETES_ENABLE_DRA"), looks.rules_of_cluster_roles(all_)),
        found=("true", {("resourceclaims", "get"), ("resourceslices", "list"), ("resourceslices", "watch")}),
    ),
    "debugDump.enabled": argument(given=True, text="--dump-enabled"),
    "debugDump.directory": argument("/var/dumps", "--dump-directory=/var/dumps", _DUMPS),
    "debugDump.retention": argument(48, "--dump-retention=48", _DUMPS),
    "debugDump.compression": argument(given=False, text="--dump-compression=false", beside=_DUMPS),
    "livenessProbe.initialDelaySeconds": same(looks.exporter, "livenessProbe", "initialDelaySeconds", given=45),
    "livenessProbe.periodSeconds": same(looks.exporter, "livenessProbe", "periodSeconds", given=10),
    "readinessProbe.initialDelaySeconds": same(looks.exporter, "readinessProbe", "initialDelaySeconds", given=45),
    "customMetrics": Effect(
        _COUNTERS,
        lambda all_: looks.config_map(all_, "dcgm-exporter-counters")["default-counters.csv"].strip(),
        _COUNTERS,
    ),
    "initContainers": same(looks.pod, "initContainers", given=[{"name": "first", "image": "x"}]),
    "config": Effect(
        {"version": 1, "collection": {"interval": "5s"}},
        _collect_interval,
        "5000",
    ),
}

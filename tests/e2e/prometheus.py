"""Prometheus as kube-prometheus-stack sets it up: the real operator makes configuration and StatefulSet of it.

The operator runs beside the cluster; Prometheus and its config reloader run in the pod that the operator asks for.
"""

import http.client
import json
import urllib.parse
import urllib.request
from typing import Any

from tests.cluster.certificates import API_SERVER
from tests.cluster.control_plane import ControlPlane
from tests.cluster.programs import Program
from tests.e2e.api import Object
from tests.waiting import NotYet

NAMESPACE = "monitoring"
NAME = "kube-prometheus-kube-prome-prometheus"
HOST = f"{NAME}.{NAMESPACE}.svc"
URL = f"http://{HOST}:9090"
"""Where the chart looks for it by default."""

_READS = ("nodes", "nodes/metrics", "services", "endpoints", "pods")
_TIMEOUT_S = 10.0


def operator_program(control_plane: ControlPlane) -> Program:
    """Return the operator, as it runs outside of a cluster."""
    pki = control_plane.certificates
    return control_plane.program(
        "prometheus-operator",
        f"--apiserver=https://{API_SERVER}:443",
        f"--ca-file={pki}/ca.crt",
        f"--cert-file={pki}/admin.crt",
        f"--key-file={pki}/admin.key",
        "--web.listen-address=127.0.0.1:8080",
        "--prometheus-config-reloader=quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0",
        "--kubelet-endpoints=false",
    )


def prometheus_objects() -> list[Object]:
    """Return the stack's Prometheus: it takes every ServiceMonitor of the cluster, as the guide has it."""
    everything: dict[str, Object] = {
        f"{kind}{which}": {} for kind in ("serviceMonitor", "podMonitor", "rule") for which in _SELECTORS
    }
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [
                {"apiGroups": [""], "resources": list(_READS), "verbs": ["get", "list", "watch"]},
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["get", "list", "watch"],
                },
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [account],
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {**everything, "serviceAccountName": NAME, "scrapeInterval": "30s", "evaluationInterval": "30s"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "ports": [{"name": "http-web", "port": 9090, "targetPort": 9090}],
                "selector": {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": NAME},
            },
        },
    ]


_SELECTORS = ("Selector", "NamespaceSelector")


def must_follow() -> None:
    """Raise NotYet until Prometheus answers and its reloader watches the configuration.

    The reloader tries for some seconds to reach a Prometheus that starts, and for minutes overlooks what changes then.
    """
    ask("status/buildinfo")
    try:
        with urllib.request.urlopen(f"http://{HOST}:8080/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except OSError as error:
        raise NotYet(f"the config reloader: {error}") from None
    if "\nreloader_last_reload_successful 1\n" not in text:
        raise NotYet("the config reloader has not reached Prometheus")


def ask(path: str, **parameters: str) -> Any:
    """Return what the Prometheus of the cluster answers.

    Raises:
        NotYet: It does not answer, or not well.
    """
    url = f"{URL}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)["data"]
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotYet(f"Prometheus: {error}") from None


def query(text: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an instant vector."""
    return [(one["metric"], float(one["value"][1])) for one in ask("query", query=text)["result"]]


def targets(job: str) -> list[tuple[str, str]]:
    """Return the scraped addresses of a job, with their health and last error."""
    found = [one for one in ask("targets", state="active")["activeTargets"] if one["labels"]["job"] == job]
    return sorted((one["scrapeUrl"], f"{one['health']} {one['lastError']}".strip()) for one in found)

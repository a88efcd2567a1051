"""KEDA: its operator and its metrics server, which answers for external.metrics.k8s.io. Both run beside the cluster."""

import base64
from pathlib import Path

from tests.cluster.certificates import API_SERVER, sign
from tests.cluster.control_plane import ControlPlane
from tests.cluster.programs import Program
from tests.e2e.api import Object

NAMESPACE = "keda"
_OPERATOR = "keda-operator.keda.svc.cluster.local"
_SERVICE = "keda-operator-metrics-apiserver"
_PORT = 6446
_GRPC = "127.0.0.1:9666"
_VARIABLES = {"KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE, "POD_NAMESPACE": NAMESPACE, "WATCH_NAMESPACE": ""}


def make_certificate(pki: Path) -> Path:
    """Return a folder with a certificate for both, to serve and to ask: they know each other by it."""
    names = f"DNS:{_OPERATOR},DNS:{_SERVICE}.{NAMESPACE}.svc"
    sign(pki, "keda", "/CN=keda", f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}")
    folder = pki / "keda"
    folder.mkdir()
    for name, source in {"tls.crt": "keda.crt", "tls.key": "keda.key", "ca.crt": "ca.crt"}.items():
        (folder / name).write_bytes((pki / source).read_bytes())
    return folder


def keda_programs(control_plane: ControlPlane, certificate: Path) -> tuple[Program, Program]:
    """Return operator and metrics server, as they run outside of a cluster."""
    kubeconfig = f"{control_plane.certificates}/admin.kubeconfig"
    operator = control_plane.program(
        "keda-operator",
        f"--kubeconfig={kubeconfig}",
        f"--cert-dir={certificate}",
        "--enable-cert-rotation=false",
        "--enable-apiservice-patching=false",
        "--enable-webhook-patching=false",
        "--leader-elect=false",
        "--metrics-bind-address=127.0.0.1:8081",
        "--health-probe-bind-address=127.0.0.1:8082",
        f"--metrics-service-bind-address={_GRPC}",
        variables=_VARIABLES,
    )
    server = control_plane.program(
        "keda-adapter",
        f"--kubeconfig={kubeconfig}",
        f"--lister-kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--secure-port={_PORT}",
        f"--cert-dir={certificate}",
        f"--tls-cert-file={certificate}/tls.crt",
        f"--tls-private-key-file={certificate}/tls.key",
        "--port=8083",
        f"--metrics-service-address={_GRPC}",
        f"--metrics-service-grpc-authority={_OPERATOR}",
        variables=_VARIABLES,
    )
    return operator, server


def keda_objects(pki: Path) -> list[Object]:
    """Return what makes the metrics server a part of the API, though it runs outside."""
    head = {"name": _SERVICE, "namespace": NAMESPACE}
    ports = [{"name": "https", "port": 443, "targetPort": _PORT}]
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**head, "labels": {"kubernetes.io/service-name": _SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": _PORT}],
            "endpoints": [{"addresses": [API_SERVER], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
            "spec": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode((pki / "ca.crt").read_bytes()).decode(),
                "service": head,
            },
        },
    ]

"""TLS and passwords on a real kubelet: installed by the real helm, probed by kubelet, read as NVIDIA's own tests do."""

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.hostile_clients import basic
from tests.chart.helm import CHART, Helm
from tests.kubelet.exporter_image import archive, import_image
from tests.kubelet.exporter_pods import PORT, wait_until_ready
from tests.kubelet.real_node import RealNode
from tests.kubelet.test_chart import RELEASE, installed, level
from tests.tools.build import build
from tests.waiting import PATIENCE_S, NotYet, wait_for

PASSWORD = "Pa$$w0rd"  # noqa: S105 - that of dcgm-exporter's end-to-end tests


@pytest.fixture(scope="module")
def values(real_node: RealNode) -> dict[str, Any]:  # noqa: ARG001 - it runs containerd
    repository, _, tag = import_image(archive()).rpartition(":")
    return {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, "mock": {"enabled": True}}


def ask(url: str, login: str | None = None) -> tuple[int, str]:
    """Ask as dcgm-exporter's end-to-end tests do: without a look at the certificate."""
    request = urllib.request.Request(url, headers={"Authorization": basic(login)} if login else {})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def helm_test(node: RealNode, namespace: str, address: str, values: dict[str, Any]) -> str:
    """Run the pod of helm test; returns what it says. There is no DNS in this cluster, so it is told the address."""
    tester = Helm(build("helm")["helm"]).template(values).one("Pod")
    tester["metadata"]["namespace"] = namespace
    host = f"{RELEASE}.monitoring.svc"
    tester["spec"]["hostAliases"] = [{"ip": address, "hostnames": [f"{RELEASE}.{namespace}.svc"]}]
    [only] = tester["spec"]["containers"]
    only["env"] = [
        {**one, "value": one["value"].replace(host, f"{RELEASE}.{namespace}.svc")} if one["name"] == "URL" else one
        for one in only["env"]
    ]
    node.cluster.kubectl("apply", manifests=[tester])
    name = tester["metadata"]["name"]

    def look() -> None:
        phase = node.cluster.get("pod", name, "-n", namespace)["status"]["phase"]
        if phase not in {"Succeeded", "Failed"}:
            raise NotYet(phase)

    wait_for("the test", look)
    return node.kubectl("logs", name, "-n", namespace)


def test_with_tls_kubelet_s_probes_are_answered_and_http_gets_400(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart-tls", "privileged")
    secured = {**values, "tlsServerConfig": {"enabled": True}}
    with installed(node, namespace, secured, tmp_path) as exporter:
        address = wait_until_ready(node, namespace, exporter)
        status, text = ask(f"http://{address}:{PORT}/metrics")
        assert status == 400
        assert "Client sent an HTTP request to an HTTPS server" in text
        status, text = ask(f"https://{address}:{PORT}/metrics")
        assert status == 200
        assert text.count("\nDCGM_FI_DEV_GPU_UTIL{") >= 8
        assert "series of GPUs" in helm_test(node, namespace, address, secured)
        secret = node.cluster.get("secret", f"{RELEASE}-tls", "-n", namespace)
        kubeconfig = str(node.cluster.certificates / "admin.kubeconfig")
        where = ("--namespace", namespace, "--kubeconfig", kubeconfig)
        Helm(build("helm")["helm"]).run("upgrade", RELEASE, str(CHART), *where, "--reuse-values")
        assert node.cluster.get("secret", f"{RELEASE}-tls", "-n", namespace)["data"] == secret["data"]


def test_with_tls_client_certificates_and_passwords_it_is_ready_and_lets_nobody_else_in(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart-tls-auth", "privileged")
    tls = {"enabled": True, "clientAuthType": "RequireAndVerifyClientCert"}
    secured = {**values, "tlsServerConfig": tls, "basicAuth": {"users": {"alice": PASSWORD}}}
    with installed(node, namespace, secured, tmp_path) as exporter:
        address = wait_until_ready(node, namespace, exporter)
        with pytest.raises(OSError, match=r"CERTIFICATE_REQUIRED|EOF|reset|alert"):
            ask(f"https://{address}:{PORT}/metrics", f"alice:{PASSWORD}")
        assert "series of GPUs" in helm_test(node, namespace, address, secured)


def test_with_passwords_alone_401_and_200_are_dcgm_exporter_s(
    node: RealNode, values: dict[str, Any], tmp_path: Path
) -> None:
    namespace = level(node, "chart-tls-passwords", "privileged")
    with installed(node, namespace, {**values, "basicAuth": {"users": {"alice": PASSWORD}}}, tmp_path) as exporter:
        url = f"http://{wait_until_ready(node, namespace, exporter)}:{PORT}/metrics"
        assert ask(url) == (401, "Unauthorized\n")
        assert ask(url, "alice:wrong") == (401, "Unauthorized\n")
        assert ask(url, f"alice:{PASSWORD}")[0] == 200

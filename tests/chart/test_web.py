"""TLS and passwords end to end: what the exporter reads, how it is probed, how Prometheus and helm test come in."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.server.web_config.document import WebConfig, read_web_config
from exporter.server.web_config.files import FilesRead
from tests.chart import looks
from tests.chart.helm import Helm, Refused, Rendered
from tests.chart.schemas import Schemas
from tests.chart.values import merged

TLS: dict[str, Any] = {"tlsServerConfig": {"enabled": True}}
USERS: dict[str, Any] = {"basicAuth": {"users": {"bob": "b", "alice": "Pa$$w0rd"}}}
CLIENTS: dict[str, Any] = merged(TLS, {"tlsServerConfig": {"clientAuthType": "RequireAndVerifyClientCert"}})
FOLDER = "/etc/gpu-metrics-exporter/tls"


def secret(rendered: Rendered, name: str) -> dict[str, str]:
    """Return what stands in a Secret."""
    found = rendered.one("Secret", f"dcgm-exporter-{name}")
    data = {key: base64.b64decode(text).decode() for key, text in found.get("data", {}).items()}
    return {**data, **found.get("stringData", {})}


def web_config(rendered: Rendered, folder: Path) -> WebConfig:
    """Read what the exporter would, by the exporter's own reader."""
    assert (
        looks.environment(rendered)["DCGM_EXPORTER_WEB_CONFIG_FILE"] == "/etc/gpu-metrics-exporter/web/web-config.yaml"
    )
    assert looks.volumes(rendered)["web-config"]["secret"] == {"secretName": "dcgm-exporter-web-config"}
    for name, text in secret(rendered, "tls").items() if "tls" in looks.volumes(rendered) else ():
        (folder / name).write_text(text)
    text = secret(rendered, "web-config")["web-config.yaml"].replace(FOLDER, str(folder))
    (folder / "web-config.yaml").write_text(text)
    return read_web_config(str(folder / "web-config.yaml"), FilesRead())


def test_the_exporter_takes_the_certificates_that_the_chart_makes(any_helm: Helm, tmp_path: Path) -> None:
    config = web_config(any_helm.template(merged(CLIENTS, USERS)), tmp_path)
    assert config.tls is not None
    assert config.tls.verify_mode.name == "CERT_REQUIRED"
    assert bcrypt.checkpw(b"Pa$$w0rd", config.users[b"alice"])
    assert bcrypt.checkpw(b"b", config.users[b"bob"])


def probes(rendered: Rendered) -> set[str]:
    container = looks.exporter(rendered)
    return {
        str(container[name].get("httpGet", {}).get("scheme", "TCP")) for name in ("livenessProbe", "readinessProbe")
    }


def test_probes_come_in_where_kubelet_can_and_see_the_port_where_it_can_not(helm: Helm) -> None:
    optional = merged(TLS, {"tlsServerConfig": {"clientAuthType": "VerifyClientCertIfGiven"}})
    own = {"arguments": ["--web-config-file=/x"]}
    assert [probes(helm.template(values)) for values in (TLS, optional)] == [{"HTTPS"}, {"HTTPS"}]
    assert [probes(helm.template(values)) for values in (USERS, CLIENTS, own)] == [{"TCP"}] * 3


def test_monitor_verifies_the_chart_s_certificate_and_has_one_where_it_is_needed(helm: Helm) -> None:
    endpoint = looks.endpoint(helm.template(TLS))
    authority = {"secret": {"name": "dcgm-exporter-tls", "key": "ca.crt"}}
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"] == {"ca": authority, "serverName": "dcgm-exporter.monitoring.svc"}
    client = looks.endpoint(helm.template(CLIENTS))["tlsConfig"]
    assert client["cert"] == {"secret": {"name": "dcgm-exporter-client-tls", "key": "tls.crt"}}
    assert client["keySecret"] == {"name": "dcgm-exporter-client-tls", "key": "tls.key"}


def test_monitor_verifies_a_certificate_of_one_s_own_as_it_is_told(helm: Helm) -> None:
    own = merged(TLS, {"tlsServerConfig": {"existingSecret": "mine"}})
    assert looks.endpoint(helm.template(own))["tlsConfig"] == {"insecureSkipVerify": True}
    assert "does not verify the exporter's certificate" in helm.notes(own)
    told = merged(own, {"serviceMonitor": {"tlsConfig": {"serverName": "x"}}})
    assert looks.endpoint(helm.template(told))["tlsConfig"] == {"serverName": "x"}
    assert "does not verify" not in helm.notes(told)


def test_objects_with_a_secret_of_one_s_own_are_valid(helm: Helm, schemas: Mapping[str, Schemas]) -> None:
    client = {"secret": {"name": "prometheus-cert", "key": "tls.crt"}}
    tls_config = {"ca": client, "cert": client, "keySecret": client["secret"], "serverName": "gpu.example.com"}
    own = {"existingSecret": "{{ .Release.Name }}-cert"}
    rendered = helm.template(merged(CLIENTS, {"tlsServerConfig": own, "serviceMonitor": {"tlsConfig": tls_config}}))
    assert looks.volumes(rendered)["tls"]["secret"] == {"secretName": "dcgm-exporter-cert"}
    assert [fault for known in schemas.values() for one in rendered.objects for fault in known.faults(one)] == []


def test_monitor_and_helm_test_log_in_as_the_first_user(helm: Helm) -> None:
    rendered = helm.template(USERS)
    assert secret(rendered, "scrape") == {"username": "alice", "password": "Pa$$w0rd"}
    login = looks.endpoint(rendered)["basicAuth"]
    assert login == {key: {"name": "dcgm-exporter-scrape", "key": key} for key in ("username", "password")}
    assert "scheme" not in looks.endpoint(rendered)
    [container] = rendered.one("Pod")["spec"]["containers"]
    assert {one["name"] for one in container["env"]} == {"URL", "username", "password"}


def test_helm_test_is_left_out_where_nobody_knows_how_to_come_in(helm: Helm) -> None:
    own = merged(CLIENTS, {"tlsServerConfig": {"existingSecret": "mine"}})
    for values in (own, {"arguments": ["--web-config-file=/x"]}):
        assert helm.template(values).all("Pod") == []
        assert "helm test" not in helm.notes(values)


def test_certificate_given_as_text_is_the_exporter_s(helm: Helm) -> None:
    made = secret(helm.template(TLS), "tls")
    given = {"cert": made["tls.crt"], "key": made["tls.key"], "ca": made["ca.crt"], "autoGenerated": False}
    rendered = helm.template(merged(TLS, {"tlsServerConfig": given}))
    assert secret(rendered, "tls") == made
    assert [one["metadata"]["name"] for one in rendered.all("Secret")] == [
        "dcgm-exporter-web-config",
        "dcgm-exporter-tls",
    ]


def test_notes_say_how_to_read_a_page(helm: Helm) -> None:
    notes = helm.notes(merged(TLS, USERS))
    assert "curl -sk -u alice https://localhost:9400/metrics | grep" in notes
    assert "curl -s http://localhost:9400/metrics | grep" in helm.notes()


def test_no_password_stands_outside_secrets(helm: Helm) -> None:
    rendered = helm.template(merged(TLS, USERS))
    outside = [one for one in rendered.objects if one["kind"] != "Secret"]
    text = yaml.safe_dump_all(outside)
    assert not re.search(r"Pa\$\$w0rd|\$2a\$|PRIVATE KEY", text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (merged(TLS, {"tlsServerConfig": {"autoGenerated": False}}), "tlsServerConfig.cert: is missing, because "),
        (
            merged(TLS, {"tlsServerConfig": {"clientAuthType": "RequireAnyClientCert"}}),
            "tlsServerConfig.clientAuthType: RequireAnyClientCert is not supported: ",
        ),
        (
            merged(TLS, {"tlsServerConfig": {"clientAuthType": "Require"}}),
            "tlsServerConfig.clientAuthType is Require, but must be ",
        ),
        (
            merged(CLIENTS, {"tlsServerConfig": {"autoGenerated": False, "cert": "x", "key": "y"}}),
            "tlsServerConfig.ca: is missing; clientAuthType RequireAndVerifyClientCert needs it",
        ),
        (
            merged(TLS, {"tlsServerConfig": {"keyFilename": "tls.crt"}}),
            "tlsServerConfig: certFilename, keyFilename and caFilename must differ",
        ),
        ({"basicAuth": {"users": {"a:b": "x"}}}, 'basicAuth.users: "a:b" is not a valid name; names have no colon'),
        ({"basicAuth": {"users": {"ann": ""}}}, "basicAuth.users: the password of ann has 0 bytes; bcrypt takes 1 to"),
        ({"basicAuth": {"users": {"ann": "ü" * 37}}}, "basicAuth.users: the password of ann has 74 bytes; "),
        (merged(TLS, {"arguments": ["--web-config-file=/x"]}), "tlsServerConfig.enabled: --web-config-file /x is a "),
    ],
)
def test_what_can_not_be_kept_is_refused_in_a_sentence(values: dict[str, Any], said: str, helm: Helm) -> None:
    with pytest.raises(Refused) as refused:
        helm.template(values)
    assert said in str(refused.value)

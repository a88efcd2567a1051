"""The values on the pages for readers: each fragment renders, and does what the page says of it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.chart import looks
from tests.chart.helm import CHART, Helm, Refused, Rendered
from tests.chart.soundness import faults
from tests.chart.test_dcgm_values import ROWS
from tests.chart.values import chart_defaults, merged
from tests.pages import blocks, page, section

FROM_DCGM = page("coming-from-dcgm-exporter")
OPERATOR = page("gpu-operator")
CLOUDS = page("managed-kubernetes")
PAGES = ("coming-from-dcgm-exporter", "gpu-operator", "managed-kubernetes")
FRAGMENTS = {f"{name} {number}": text for name in PAGES for number, text in enumerate(blocks(page(name), "yaml"))}
OF_OTHERS = ("# values of the operator's chart\n", "# for kubectl apply\n")


def values(text: str) -> Mapping[str, Any]:
    """Return the only fragment of a text."""
    [fragment] = blocks(text, "yaml")
    found: Mapping[str, Any] = yaml.safe_load(fragment)
    return found


@pytest.mark.parametrize("name", [name for name, text in FRAGMENTS.items() if not text.startswith(OF_OTHERS)])
def test_each_fragment_renders(name: str, helm: Helm) -> None:
    rendered = helm.template(yaml.safe_load(FRAGMENTS[name]))
    assert looks.exporter(rendered)
    assert faults(rendered.objects) == []


@pytest.mark.parametrize("name", ["coming-from-dcgm-exporter", "gpu-operator", "managed-kubernetes", "troubleshooting"])
def test_the_values_within_its_sentences_render_together(name: str, helm: Helm) -> None:
    keys = "|".join(chart_defaults())
    found = re.findall(rf"`((?:{keys}): (?:{{.*?}}|\[.*?\]|\"\"))`", page(name))
    assert found
    assert looks.exporter(helm.template(merged(*map(yaml.safe_load, found))))


def test_beside_dcgm_exporter_nothing_is_scraped_and_nothing_alerts(helm: Helm) -> None:
    given = values(section(FROM_DCGM, "Both side by side"))
    rendered = helm.template(given, release="gpu-metrics")
    assert looks.daemon_set(rendered)["metadata"]["name"] == "gpu-metrics-dcgm-exporter"
    assert {one["kind"] for one in rendered.objects} & {"ServiceMonitor", "PodMonitor", "PrometheusRule"} == set()
    assert [one["metadata"]["name"] for one in rendered.all("ConfigMap")] == ["gpu-metrics-dcgm-exporter-counters"]


def test_on_the_host_s_network_the_second_exporter_takes_another_port(helm: Helm) -> None:
    assert '`service: {port: 9401, address: ":9401"}`' in FROM_DCGM
    rendered = helm.template({"hostNetwork": True, "service": {"port": 9401, "address": ":9401"}})
    assert looks.environment(rendered)["DCGM_EXPORTER_LISTEN"] == ":9401"
    assert looks.exporter(rendered)["ports"] == [{"name": "metrics", "containerPort": 9401}]


def test_pod_can_mean_the_exporter_s_own_as_with_dcgm_exporter(helm: Helm) -> None:
    given = values(section(FROM_DCGM, "Dashboards, alerts and rules"))
    endpoint = looks.endpoint(helm.template(given))
    assert endpoint["honorLabels"] is False
    assert "labeldrop" not in [one["action"] for one in endpoint["relabelings"]]


def test_each_default_that_differs_has_its_row() -> None:
    table = section(FROM_DCGM, "Values whose defaults differ")
    differ = {key for key, row in ROWS.items() if row["ours"] and not key.startswith(("image.", "service.web"))}
    keys = {key for key in differ if f"`{key}`" not in table}
    in_words = {"resources.requests.memory", "livenessProbe.initialDelaySeconds", "readinessProbe.initialDelaySeconds"}
    assert keys == in_words
    assert "`requests.memory`" in table
    assert "probes' `initialDelaySeconds`" in table


def test_with_a_name_of_its_own_the_selector_is_that_of_newer_charts(helm: Helm) -> None:
    selector = looks.daemon_set(helm.template({"nameOverride": "gpus"}))["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/component"] == "gpus"


def test_a_key_that_old_charts_had_and_never_read_is_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match="mapPodsMetrics"):
        helm.template({"mapPodsMetrics": False})


def test_of_two_counters_files_the_page_s_flags_keep_the_one_that_was_in_use(helm: Helm) -> None:
    """A chart before 4.0 mounts customMetrics as the file that its -f names; one of 4.x as another one."""
    [row] = [line for line in FROM_DCGM.splitlines() if line.startswith("| `-f /etc/dcgm-exporter/dcp-metrics-inc")]
    assert re.findall("`--set ([^`]*)`", row) == ["arguments=null", "customMetrics="]
    file = ["-f", "/etc/dcgm-exporter/dcp-metrics-included.csv"]
    rows = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature."
    given = {"customMetrics": rows, "arguments": file}
    with pytest.raises(Refused, match="customMetrics is never read"):
        helm.template(given)
    kept = helm.template(given | {"arguments": None})
    assert rows in str(kept.all("ConfigMap"))
    assert looks.exporter(helm.template(given | {"customMetrics": ""}))["args"] == file


def test_the_operator_s_values_are_not_this_chart_s_and_their_places_are_named(helm: Helm) -> None:
    given = yaml.safe_load(blocks(section(OPERATOR, "The operator runs this exporter"), "yaml")[0])
    with pytest.raises(Refused, match="dcgmExporter is the GPU Operator's block") as refused:
        helm.template({"dcgmExporter": given["dcgmExporter"]})
    assert "its serviceMonitor to serviceMonitor" in str(refused.value)


def test_beside_the_operator_the_pod_has_its_class_or_its_annotation(helm: Helm) -> None:
    by_class, by_annotation = map(yaml.safe_load, blocks(section(OPERATOR, "This chart beside the operator"), "yaml"))
    assert looks.pod(helm.template(by_class))["runtimeClassName"] == "nvidia"
    rendered = helm.template(by_annotation)
    [annotation] = [one for one in looks.pod_meta(rendered)["annotations"] if one.startswith("nvidia.cdi.k8s.io/")]
    assert annotation == f"nvidia.cdi.k8s.io/container.{looks.exporter(rendered)['name']}"
    assert "runtimeClassName" not in looks.pod(rendered)


def node_terms(rendered: Rendered) -> list[Mapping[str, Any]]:
    """Return what the pod asks of nodes: each alone is enough."""
    required = looks.pod(rendered)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    found: list[Mapping[str, Any]] = required["nodeSelectorTerms"]
    return found


def test_an_affinity_of_one_s_own_gives_way_to_the_operator_as_the_chart_s_does(helm: Helm) -> None:
    given = values(section(OPERATOR, "Driver upgrades and MIG changes"))
    [term] = node_terms(helm.template(given))
    label, not_paused = term["matchExpressions"]
    terms = [one["matchExpressions"] for one in node_terms(helm.template())]
    [same] = [term for term in terms if label in term]
    assert not_paused in same


def test_the_openshift_rule_of_the_operator_needs_a_row_of_one_s_own() -> None:
    files = (CHART.parent / "exporter" / "counter_files").glob("*.csv")
    assert "DCGM_FI_DEV_FB_TOTAL" in OPERATOR
    assert [file.name for file in files if "DCGM_FI_DEV_FB_TOTAL," in file.read_text(encoding="utf-8")] == []


def fragments(heading: str) -> list[Mapping[str, Any]]:
    """Return the fragments of a cloud."""
    return [yaml.safe_load(text) for text in blocks(section(CLOUDS, heading), "yaml")]


def test_on_gke_the_pod_has_google_s_driver_or_the_operator_s_class_and_no_priority(helm: Helm) -> None:
    googles, operators, _ = fragments("GKE")
    with_driver = helm.template(googles)
    assert looks.exporter(with_driver)["securityContext"]["privileged"] is True
    assert "/home/kubernetes/bin/nvidia" in [
        one.get("hostPath", {}).get("path") for one in looks.pod(with_driver)["volumes"]
    ]
    assert looks.environment(with_driver)["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    with_class = looks.pod(helm.template(operators))
    assert with_class["runtimeClassName"] == "nvidia"
    assert not {"priorityClassName"} & (looks.pod(with_driver).keys() | with_class.keys())


def test_google_s_monitoring_finds_the_pods_and_leaves_the_workload_its_name(helm: Helm) -> None:
    rendered, spec = helm.template(), fragments("GKE")[2]["spec"]
    assert spec["selector"]["matchLabels"].items() <= looks.pod_meta(rendered)["labels"].items()
    assert [one["port"] for one in spec["endpoints"]] == [one["name"] for one in looks.exporter(rendered)["ports"]]
    assert spec["targetLabels"]["metadata"] == []


def test_on_eks_bottlerocket_s_runtime_is_asked_by_a_mount(helm: Helm) -> None:
    al2023, bottlerocket = map(helm.template, fragments("EKS"))
    assert looks.pod(al2023)["nodeSelector"] == {"eks.amazonaws.com/nodegroup": "GPU-NODEGROUP"}
    asked_by = "/var/run/nvidia-container-devices/all"
    assert asked_by in looks.mounts(bottlerocket)
    assert asked_by not in looks.mounts(al2023)
    assert looks.pod(bottlerocket)["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}


def test_on_aks_the_taint_is_tolerated_anyway_and_azure_s_prometheus_has_its_monitor(helm: Helm) -> None:
    pool, azure = fragments("AKS")
    [taint] = pool["tolerations"]
    tolerated = looks.pod(helm.template())["tolerations"]
    assert any(one.items() <= taint.items() for one in tolerated)
    labels = [term["matchExpressions"][0]["key"] for term in node_terms(helm.template())]
    assert {"kubernetes.azure.com/accelerator", "accelerator"} <= set(labels)
    rendered = helm.template(azure, apis=["azmonitoring.coreos.com/v1/ServiceMonitor"])
    assert looks.own_monitor(rendered)["apiVersion"] == "azmonitoring.coreos.com/v1"
    assert rendered.all("PrometheusRule") == []


def test_on_openshift_the_workload_keeps_its_names_beside_the_enforced_one(helm: Helm) -> None:
    [given] = fragments("OpenShift")
    rendered = helm.template(given)
    assert looks.pod(rendered)["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
    assert looks.endpoint(rendered)["honorLabels"] is False
    without_owners = helm.template({**given, "kubernetes": {"podMapping": False}})
    assert looks.exporter(without_owners)["securityContext"]["runAsNonRoot"] is True
    assert [one for one in looks.pod(without_owners)["volumes"] if "hostPath" in one] == []

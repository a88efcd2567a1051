"""What the exporter's pod and its rights are made of, where more than one value has a say."""

from typing import Any

import pytest

from tests.chart import looks
from tests.chart.helm import ALL_APIS, Helm


@pytest.mark.parametrize(
    ("values", "resources"),
    [
        ({"kubernetes": {"enablePodLabels": True}}, {"pods"}),
        ({"kubernetes": {"enablePodUID": True}}, {"pods"}),
        ({"arguments": ["--kubernetes-enable-pod-labels"]}, {"pods"}),
        ({"extraEnv": [{"name": "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID", "value": "1"}]}, {"pods"}),
        ({"kubernetesDRA": {"enabled": True}}, {"resourceslices", "resourceclaims"}),
        ({"arguments": ["-kubernetes-enable-dra=true"]}, {"resourceslices", "resourceclaims"}),
    ],
)
def test_a_feature_has_its_rights_however_it_is_asked_for(
    values: dict[str, Any], resources: set[str], helm: Helm
) -> None:
    rendered = helm.template(values)
    assert looks.pod(rendered)["automountServiceAccountToken"] is True
    assert {what for what, _ in looks.rules_of_cluster_roles(rendered)} == resources


@pytest.mark.parametrize("arguments", [[], ["--kubernetes-enable-pod-labels=false"]])
def test_without_such_a_feature_there_are_no_rights_and_no_token(arguments: list[str], helm: Helm) -> None:
    rendered = helm.template({"arguments": arguments})
    assert looks.pod(rendered)["automountServiceAccountToken"] is False
    assert not looks.rules_of_cluster_roles(rendered)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, []),
        ({"busySeconds": "none"}, ["none"]),
        ({"busySeconds": "gpu,encoder"}, ["gpu,encoder"]),
        ({"busySeconds": "none", "extraEnv": [{"name": "DCGM_EXPORTER_BUSY_SECONDS", "value": "gpu"}]}, ["gpu"]),
    ],
)
def test_the_exporter_is_told_whose_busy_seconds_to_count_where_they_are_not_its_own_choice(
    values: dict[str, Any], told: list[str], helm: Helm
) -> None:
    env = looks.exporter(helm.template(values))["env"]
    assert [one["value"] for one in env if one["name"] == "DCGM_EXPORTER_BUSY_SECONDS"] == told


def test_a_mock_gets_nothing_of_the_host_s_driver(helm: Helm) -> None:
    rendered = helm.template({"mock": {"enabled": True}, "gpuAccess": {"mode": "hostDriver"}})
    assert not [volume for volume in looks.pod(rendered)["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize("is_mock", [True, False])
def test_kubelet_s_folder_of_device_plugins_is_a_mock_s_alone(is_mock: bool, helm: Helm) -> None:
    rendered = helm.template({"mock": {"enabled": is_mock, "devicePlugin": True}})
    folder = "/var/lib/kubelet/device-plugins"
    assert (f"--mock-device-plugin={folder}" in looks.exporter(rendered)["args"]) is is_mock
    assert (folder in looks.mounts(rendered)) is is_mock


def test_helm_test_may_scrape_where_a_network_policy_names_who_may(helm: Helm) -> None:
    rendered = helm.template(
        {"networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}}
    )
    [ingress] = rendered.one("NetworkPolicy")["spec"]["ingress"]
    selectors = [peer["podSelector"]["matchLabels"].items() for peer in ingress["from"]]
    assert any(selector <= rendered.one("Pod")["metadata"]["labels"].items() for selector in selectors)


NOT_PAUSED = [
    {
        "key": f"nvidia.com/gpu.deploy.{what}",
        "operator": "NotIn",
        "values": ["paused-for-driver-upgrade", "paused-for-mig-change"],
    }
    for what in ("dcgm-exporter", "dcgm-exporter-dra")
]


@pytest.mark.parametrize("values", [{}, {"gpuNodes": {"only": False}}, {"nodeSelector": {"gpu": "yes"}}])
def test_the_pod_goes_where_the_gpu_operator_is_about_to_change_driver_or_mig(
    values: dict[str, Any], helm: Helm
) -> None:
    affinity = looks.pod(helm.template(values))["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms
    assert all(one in term["matchExpressions"] for term in terms for one in NOT_PAUSED)


def test_an_affinity_of_the_user_s_is_taken_as_it_is_and_a_mock_holds_no_device(helm: Helm) -> None:
    own: dict[str, Any] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    assert looks.pod(helm.template({"affinity": own}))["affinity"] == own
    assert "affinity" not in looks.pod(helm.template({"mock": {"enabled": True}}))


@pytest.mark.parametrize("context", [{"privileged": True}, {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}])
def test_what_the_api_server_takes_with_privilege_escalation_alone_is_rendered_with_it(
    context: dict[str, Any], helm: Helm
) -> None:
    made = looks.exporter(helm.template({"securityContext": context}))["securityContext"]
    assert made["allowPrivilegeEscalation"] is True
    assert looks.exporter(helm.template())["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_config_map_that_a_variable_names_has_its_role_and_is_made_where_it_is_the_chart_s(helm: Helm) -> None:
    variable = {"name": "DCGM_EXPORTER_CONFIGMAP_DATA", "value": "monitoring:exporter-metrics-config-map"}
    rendered = helm.template({"extraEnv": [variable]})
    [rule] = rendered.one("Role")["rules"]
    assert rule["resourceNames"] == ["exporter-metrics-config-map"]
    assert looks.config_map(rendered, "exporter-metrics-config-map")
    assert looks.pod(rendered)["automountServiceAccountToken"] is True


def test_notes_say_that_scrapes_are_too_far_apart(helm: Helm) -> None:
    said = "and\n   autoscalers should not act on such old values"
    assert said in helm.notes({"serviceMonitor": {"interval": "2m1s"}}, apis=ALL_APIS)
    assert said not in helm.notes({"serviceMonitor": {"interval": "2m"}}, apis=ALL_APIS)

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


def test_a_mock_gets_nothing_of_the_host_s_driver(helm: Helm) -> None:
    rendered = helm.template({"mock": {"enabled": True}, "gpuAccess": {"mode": "hostDriver"}})
    assert not [volume for volume in looks.pod(rendered)["volumes"] if "hostPath" in volume]


def test_helm_test_may_scrape_where_a_network_policy_names_who_may(helm: Helm) -> None:
    rendered = helm.template(
        {"networkPolicy": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}}
    )
    [ingress] = rendered.one("NetworkPolicy")["spec"]["ingress"]
    selectors = [peer["podSelector"]["matchLabels"].items() for peer in ingress["from"]]
    assert any(selector <= rendered.one("Pod")["metadata"]["labels"].items() for selector in selectors)


def test_notes_say_that_nvidia_s_image_is_another_program(helm: Helm) -> None:
    values = {"image": {"repository": "nvcr.io/nvidia/k8s/dcgm-exporter", "tag": "4.5.3-4.8.2-distroless"}}
    assert "NVIDIA's program" in helm.notes(values, apis=ALL_APIS)
    assert "NVIDIA's program" not in helm.notes({"image": {"repository": "registry.example/x"}}, apis=ALL_APIS)

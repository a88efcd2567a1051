"""Names: long ones, and those of releases side by side."""

from collections import Counter

import pytest

from tests.chart import looks
from tests.chart.helm import NAMESPACE, Helm, Refused, Rendered
from tests.chart.soundness import faults
from tests.chart.values import MATRIX, merged, read_values

LONGEST_RELEASE = "a-release-with-the-longest-name-that-helm-takes-of-them"[:53]
WITH_EVERYTHING = merged(read_values("everything-on"), {"adapter": {"deploy": True}, "mock": {"enabled": True}})
ONE_IN_A_CLUSTER = {"APIService"}


def identities(rendered: Rendered) -> set[tuple[str, str | None, str]]:
    return {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered.objects}


def shared(first: Rendered, second: Rendered) -> set[tuple[str, str | None, str]]:
    both = Counter((*identities(first), *identities(second)))
    return {identity for identity, count in both.items() if count > 1 and identity[0] not in ONE_IN_A_CLUSTER}


@pytest.mark.parametrize("name", MATRIX)
def test_a_release_name_of_53_characters_gives_names_that_kubernetes_takes(name: str, helm: Helm) -> None:
    assert len(LONGEST_RELEASE) == 53
    assert faults(helm.template(read_values(name), release=LONGEST_RELEASE).objects) == []


def test_a_longer_release_name_is_refused_by_helm(helm: Helm) -> None:
    with pytest.raises(Refused, match="53"):
        helm.template(release=LONGEST_RELEASE + "x")


def test_two_releases_in_one_namespace_share_no_object(helm: Helm) -> None:
    one, other = (helm.template(WITH_EVERYTHING, release=release) for release in ("blue", "green"))
    assert shared(one, other) == set()


def test_two_releases_with_long_names_that_begin_alike_share_no_object(helm: Helm) -> None:
    one, other = (helm.template(WITH_EVERYTHING, release=LONGEST_RELEASE[:-1] + end) for end in ("a", "b"))
    assert shared(one, other) == set()


def test_releases_of_one_name_in_two_namespaces_share_no_object(helm: Helm) -> None:
    one, other = (helm.template(WITH_EVERYTHING, f"--namespace={namespace}") for namespace in ("blue", "green"))
    assert shared(one, other) == set()


def test_two_releases_select_their_own_pods_alone(helm: Helm) -> None:
    one, other = (helm.template(release=release) for release in ("blue", "green"))
    labels = looks.pod_meta(other)["labels"]
    for selector in (
        looks.daemon_set(one)["spec"]["selector"]["matchLabels"],
        looks.service(one)["spec"]["selector"],
        looks.own_monitor(one)["spec"]["selector"]["matchLabels"],
    ):
        assert not selector.items() <= labels.items()


def test_the_adapter_s_pods_are_not_the_exporter_s(helm: Helm) -> None:
    rendered = helm.template({"adapter": {"deploy": True}})
    [adapter] = rendered.all("Deployment")
    labels = adapter["spec"]["template"]["metadata"]["labels"]
    assert not looks.service(rendered)["spec"]["selector"].items() <= labels.items()


def test_namespace_override_moves_every_object_that_has_a_namespace(helm: Helm) -> None:
    rendered = helm.template(merged(WITH_EVERYTHING, {"namespaceOverride": "gpus"}))
    stayed = {identity for identity in identities(rendered) if identity[1] == NAMESPACE}
    assert {kind for kind, _, _ in stayed} <= {"Secret", "RoleBinding"}
    assert looks.own_monitor(rendered)["spec"]["namespaceSelector"] == {"matchNames": ["gpus"]}


def test_guide_s_names_are_dcgm_exporter_s(helm: Helm) -> None:
    rendered = helm.template()
    assert looks.daemon_set(rendered)["metadata"]["name"] == "dcgm-exporter"
    assert looks.pod_meta(rendered)["labels"]["app.kubernetes.io/name"] == "dcgm-exporter"
    assert looks.exporter(rendered)["name"] == "exporter"
    assert looks.service(rendered)["metadata"]["name"] == "dcgm-exporter"
    assert looks.service(rendered)["spec"]["ports"] == [
        {"name": "metrics", "port": 9400, "protocol": "TCP", "targetPort": "metrics"}
    ]


def test_a_service_monitor_made_by_hand_as_in_guide_has_a_name_that_the_chart_does_not_use(helm: Helm) -> None:
    rendered = helm.template()
    assert [one["metadata"]["name"] for one in rendered.all("ServiceMonitor")] == ["dcgm-exporter-metrics"]

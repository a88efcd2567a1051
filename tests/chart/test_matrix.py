"""Many sets of values: each renders, and what comes out is what Kubernetes and the CRDs accept, old and new."""

from collections.abc import Mapping

import pytest

from tests.chart.helm import ALL_APIS, Helm
from tests.chart.schemas import NEWEST, OLDEST, Schemas
from tests.chart.soundness import faults
from tests.chart.values import MATRIX, merged, read_values

every_file = pytest.mark.parametrize("name", MATRIX)


@every_file
@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_each_object_is_valid_in_the_oldest_and_the_newest_kubernetes(
    name: str, release: str, helm: Helm, schemas: Mapping[str, Schemas]
) -> None:
    rendered = helm.template(read_values(name), f"--kube-version={release}.0")
    assert rendered.all("DaemonSet")
    wrong = [
        f"{one['kind']} {one['metadata']['name']} {fault}"
        for one in rendered.objects
        for fault in schemas[release].faults(one)
    ]
    assert wrong == []


@every_file
@pytest.mark.parametrize("apis", [ALL_APIS, ()], ids=["with-crds", "without-crds"])
def test_objects_of_a_release_fit_together(name: str, apis: tuple[str, ...], helm: Helm) -> None:
    assert faults(helm.template(read_values(name), apis=apis).objects) == []


@every_file
def test_without_the_operator_s_crds_no_object_needs_them_unless_it_is_asked_for_by_name(name: str, helm: Helm) -> None:
    values = merged(read_values(name), {"servingMonitors": []})
    groups = {one["apiVersion"].partition("/")[0] for one in helm.template(values, apis=()).objects}
    assert "monitoring.coreos.com" not in groups


@every_file
def test_notes_can_be_told(name: str, helm: Helm) -> None:
    for apis in (ALL_APIS, ()):
        assert "kubectl get daemonset" in helm.notes(read_values(name), apis=apis)


def test_each_values_file_says_in_its_first_line_what_it_is_about() -> None:
    assert [name for name, path in MATRIX.items() if not path.read_text(encoding="utf-8").startswith("# ")] == []

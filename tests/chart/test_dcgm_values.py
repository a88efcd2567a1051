"""Every value of dcgm-exporter's chart does here what it does there. They stand in data/dcgm-exporter-values.csv."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chart import looks
from tests.chart.dcgm_effects import EFFECTS
from tests.chart.helm import ALL_APIS, Helm
from tests.chart.values import chart_defaults, find, merged, nested, read_values

_TABLE = Path(__file__).parent / "data" / "dcgm-exporter-values.csv"
ROWS = {row["key"]: row for row in csv.DictReader(_TABLE.read_text(encoding="utf-8").splitlines())}
_APIS = (*ALL_APIS, "monitoring.example.com/v1/ServiceMonitor")


@pytest.mark.parametrize("key", ROWS)
def test_a_value_of_dcgm_exporter_s_chart_has_its_effect(key: str, helm: Helm) -> None:
    effect = EFFECTS[key]
    before = effect.look(helm.template(effect.beside, apis=_APIS))
    after = effect.look(helm.template(merged(effect.beside, nested(key, effect.given)), apis=_APIS))
    assert before != effect.found
    assert after == effect.found


READ_AS: Mapping[str, tuple[object, object]] = {
    "image.tag": (20261129, "20261129"),
    "service.port": ("9400", 9400),
    "hostPID": ("true", True),
    "hostNetwork": ("false", False),
    "serviceAccount.create": ("false", False),
    "service.enable": ("false", False),
    "serviceMonitor.enabled": ("true", True),
    "serviceMonitor.honorLabels": ("false", False),
    "kubernetes.enablePodLabels": ("true", True),
    "kubernetes.rbac.create": ("false", False),
    "kubernetesDRA.enabled": ("true", True),
    "tlsServerConfig.enabled": ("false", False),
    "debugDump.enabled": ("true", True),
    "livenessProbe.initialDelaySeconds": ("45", 45),
    "readinessProbe.initialDelaySeconds": ("45", 45),
    "rollingUpdate.maxUnavailable": ("2", 2),
    "arguments": (["-c", 2000, " --debug"], ["-c", "2000", "--debug"]),
}
"""Values as tools write them, which dcgm-exporter's templates take, and what they mean."""


@pytest.mark.parametrize("key", READ_AS)
def test_what_tools_write_in_another_type_means_the_same(key: str, helm: Helm) -> None:
    written, meant = READ_AS[key]
    assert helm.template(nested(key, written)).text == helm.template(nested(key, meant)).text


def test_a_space_behind_a_comma_is_no_part_of_an_argument(helm: Helm) -> None:
    """--set arguments={--kubernetes-enable-pod-labels, --debug}, as NVIDIA's own end-to-end tests have it."""
    rendered = helm.template({}, "--set", "arguments={--kubernetes-enable-pod-labels, --debug}")
    assert looks.exporter(rendered)["args"] == ["--kubernetes-enable-pod-labels", "--debug"]
    spaced = helm.template({}, "--set", "arguments={--debug, --kubernetes-enable-pod-labels}")
    assert ("pods", "watch") in looks.rules_of_cluster_roles(spaced)
    assert looks.pod(spaced)["automountServiceAccountToken"] is True


NULL_MEANS: Mapping[str, object] = {
    "arguments": [],
    "image.pullPolicy": "IfNotPresent",
    "image.tag": "",
    "hostPID": False,
    "hostNetwork": False,
    "serviceAccount.create": False,
    "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
    "rollingUpdate.maxSurge": 0,
    "service.enable": False,
    "service.internalTrafficPolicy": "Cluster",
    "service.address": ":9400",
    "serviceMonitor.enabled": False,
    "serviceMonitor.honorLabels": False,
    "kubernetes.enablePodLabels": False,
    "kubernetes.enablePodUID": False,
    "kubernetes.rbac.create": False,
    "kubernetesDRA.enabled": False,
    "tlsServerConfig.certFilename": "tls.crt",
    "debugDump.enabled": False,
    "debugDump.retention": 24,
    "livenessProbe.periodSeconds": 5,
    "readinessProbe.initialDelaySeconds": 0,
}
"""What a key stands for that a null has taken away, where dcgm-exporter's templates take that."""


@pytest.mark.parametrize("key", NULL_MEANS)
def test_a_null_that_dcgm_exporter_s_chart_takes_is_taken(key: str, helm: Helm) -> None:
    assert helm.template(nested(key, None)).text == helm.template(nested(key, NULL_MEANS[key])).text


@pytest.mark.parametrize("key", ["interval", "scrapeTimeout"])
def test_without_a_time_of_its_own_the_monitor_leaves_it_to_prometheus(key: str, helm: Helm) -> None:
    for nothing in (None, ""):
        assert key not in looks.endpoint(helm.template({"serviceMonitor": {key: nothing}}))


def test_every_row_has_its_test() -> None:
    assert set(ROWS) == set(EFFECTS)


@pytest.mark.parametrize("key", ROWS)
def test_defaults_are_dcgm_exporter_s_but_for_those_that_differ_on_purpose(key: str) -> None:
    theirs, ours = ROWS[key]["default"], ROWS[key]["ours"]
    expected = json.loads(ours or theirs or "null")
    found = find(chart_defaults(), key)
    assert found == expected or (expected is None and not found)


def test_the_matrix_has_all_its_defaults() -> None:
    given = [
        nested(key, json.loads(row["default"]))
        for key, row in ROWS.items()
        if row["default"] and not key.startswith("image.")
    ]
    assert read_values("dcgm-exporter") == merged(*given)

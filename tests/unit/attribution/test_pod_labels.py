import logging
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.attribution.pod_labels import BUILT_IN, MOST_BYTES, MOST_LABELS, PodLabels, printed_name
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Entity, Gpu, Holder, Instance, Labels, Owner, Sample
from exporter.settings import LabelStyle

GPU = Gpu(0, "GPU-1", "00000000:01:00.0", 0, "NVIDIA H100")
NAME = st.from_regex(r"[a-zA-Z0-9_./-]{1,40}", fullmatch=True) | st.text(min_size=1)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def select(labels: Mapping[str, str], *allowlist: str) -> Labels:
    return PodLabels(allowlist).select(labels, "lab/pod").labels


def printed_label_names(style: LabelStyle, *, use_old_namespace: bool) -> set[str]:
    options = LabelOptions(style, "node-1", kubernetes=True, use_old_namespace=use_old_namespace)
    instance = Instance(1, "1g.10gb", ("MIG-1",))
    names: set[str] = set()
    for entity in (Entity(GPU), Entity(GPU, instance), Entity(GPU, link=0)):
        cache = LabelCache(options)
        cache.update([entity], {}, {entity: (Owner(Holder("ns", "pod", "main")),)})
        (text,) = cache.blocks(Sample(entity, "F", 1, float("inf")))
        (family,) = text_string_to_metric_families(f"F{{{text}}} 1\n")
        names |= family.samples[0].labels.keys()
    return names


def test_labels_are_sorted_by_their_printed_names() -> None:
    assert select({"b": "1", "a.b": "2", "a": "3"}) == (("a", "3"), ("a_b", "2"), ("b", "1"))


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("app", "app"),
        ("app.kubernetes.io/name", "app_kubernetes_io_name"),
        ("pod-template-hash", "pod_template_hash"),
        ("A_b9", "A_b9"),
        ("wärme", "w_rme"),
        ("9lives", "_9lives"),
    ],
)
def test_what_prometheus_takes_no_name_from_becomes_an_underscore(name: str, printed: str) -> None:
    assert select({name: "x"}) == ((printed, "x"),)


def test_of_two_labels_with_one_printed_name_the_one_that_is_written_so_counts() -> None:
    for labels in ({"a.b": "dot", "a_b": "own"}, {"a_b": "own", "a.b": "dot"}):
        assert select(labels) == (("a_b", "own"),)


def test_of_others_with_one_printed_name_the_first_by_name_counts() -> None:
    for labels in ({"a/b": "slash", "a-b": "dash", "a.b": "dot"}, {"a.b": "dot", "a-b": "dash", "a/b": "slash"}):
        assert select(labels) == (("a_b", "dash"),)


@pytest.mark.parametrize("allowed", ["^app$", "pp", "^a", "zzz|app"])
def test_a_label_is_printed_if_an_expression_is_found_in_its_name(allowed: str) -> None:
    assert select({"app": "x", "team": "y"}, allowed) == (("app", "x"),)


def test_expressions_are_matched_against_the_pods_own_names() -> None:
    labels = {"app.kubernetes.io/name": "x", "app_kubernetes_io_part": "y"}
    assert select(labels, r"^app\.kubernetes\.io/") == (("app_kubernetes_io_name", "x"),)


def test_any_of_several_expressions_is_enough() -> None:
    assert select({"a": "1", "b": "2", "c": "3"}, "^a$", "^b$") == (("a", "1"), ("b", "2"))


def test_a_label_that_is_not_allowed_hides_none_that_is() -> None:
    assert select({"a.b": "dot", "a_b": "own"}, r"\.") == (("a_b", "dot"),)


@pytest.mark.parametrize("style", LabelStyle)
@pytest.mark.parametrize("use_old_namespace", [False, True])
def test_no_label_of_any_style_can_be_overwritten(style: LabelStyle, *, use_old_namespace: bool) -> None:
    names = printed_label_names(style, use_old_namespace=use_old_namespace)
    assert {"gpu", "pci_bus_id", "GPU_I_ID", "nvlink"} < names
    assert select(dict.fromkeys(names, "evil")) == ()


OTHERS = [
    *("vgpu", "hpc_job", "pod_uid", "dra_claim_name", "dra_claim_namespace", "dra_device_name", "dra_driver_name"),
    *("dra_pool_name", "dra_mig_profile", "dra_mig_device_uuid", "err_code", "err_msg", "xid", "clock_event"),
    *("window_size_in_ms", "DCGM_FI_DRIVER_VERSION", "DCGM_FI_DEV_SERIAL", "dcgm_driver_version", "__name__"),
    *("pod-uid", "dra.pool/name", "DCGM.FI-DEV_SERIAL", "pci.bus.id", "GPU-I/ID"),
]


@pytest.mark.parametrize("name", OTHERS)
def test_no_label_of_an_owner_or_a_series_can_be_overwritten(name: str) -> None:
    assert select({name: "evil", "app": "x"}) == (("app", "x"),)


PROMETHEUS = [
    *("job", "instance", "__address__", "le", "quantile", "alertname", "alertstate", "exported_pod", "exported_job"),
    *("service", "endpoint", "node", "prometheus", "prometheus_replica", "exporter_pod", "exporter-pod"),
]


@pytest.mark.parametrize("name", PROMETHEUS)
def test_no_label_of_prometheus_or_its_operator_can_be_overwritten(name: str) -> None:
    assert select({name: "evil", "app": "x"}) == (("app", "x"),)


@pytest.mark.parametrize("name", ["Pod", "jobs", "GPU", "dra", "xid2", "namespaces", "gpu.x"])
def test_names_that_only_resemble_built_in_ones_are_printed(name: str) -> None:
    assert select({name: "x"}) == ((name.replace(".", "_"), "x"),)


def test_each_reserved_name_is_logged_once_and_each_label_counted(caplog: pytest.LogCaptureFixture) -> None:
    labels = PodLabels()
    for pod in range(100):
        selected = labels.select({"pod": "x", "pod-uid": "x", "job": "x", f"DCGM_{pod}": "x", "app": "x"}, f"lab/{pod}")
        assert selected == ((("app", "x"),), 4)
    assert len(warnings(caplog)) == 4
    assert any("'pod-uid' of pod lab/0" in line and "pod_uid" in line for line in warnings(caplog))


def test_a_label_whose_name_has_no_end_makes_no_long_line(caplog: pytest.LogCaptureFixture) -> None:
    select({"DCGM_" + "x" * 100_000: "x"})
    [line] = warnings(caplog)
    assert len(line) < 1000


def test_labels_that_are_not_allowed_are_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    select({"pod": "x"}, "^app$")
    assert warnings(caplog) == []


def test_a_pod_adds_a_bounded_count_of_labels_the_first_by_name() -> None:
    many = {f"label-{number:04}": "x" for number in range(9000)}
    labels, left_out = PodLabels().select(many, "lab/train")
    assert len(labels) == MOST_LABELS
    assert labels[0] == ("label_0000", "x")
    assert labels[-1] == (f"label_{MOST_LABELS - 1:04}", "x")
    assert left_out == 9000 - MOST_LABELS


@given(st.dictionaries(NAME, st.text(max_size=63) | st.just("w" * MOST_BYTES), max_size=90))
def test_a_pod_adds_a_bounded_count_of_bytes_and_the_rest_is_counted(labels: dict[str, str]) -> None:
    selected, left_out = PodLabels().select(labels, "lab/train")
    assert len(selected) <= MOST_LABELS
    assert sum(len(name) + len(value.encode()) for name, value in selected) <= MOST_BYTES
    printed = {printed_name(name) for name in labels}
    assert len(printed) <= len(selected) + left_out <= len(labels)


def test_labels_that_are_not_allowed_take_no_room() -> None:
    many = {f"a-{number:04}": "x" for number in range(9000)} | {"team": "red"}
    assert PodLabels(["^team$"]).select(many, "lab/train") == ((("team", "red"),), 0)


def test_a_pod_with_too_many_labels_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    many = {f"label-{number:04}": "x" for number in range(9000)}
    labels = PodLabels()
    for pod in ("lab/a", "lab/b", "lab/a"):
        labels.select(many, pod)
    (line,) = warnings(caplog)
    assert line.startswith("pod lab/a has 9000 labels: only the first 64 are exported")
    assert "--kubernetes-pod-label-allowlist-regex" in line


@given(st.dictionaries(NAME, st.text(), max_size=8))
def test_any_labels_stay_one_well_formed_line(labels: dict[str, str]) -> None:
    selected = select(labels)
    entity = Entity(GPU)
    cache = LabelCache(LabelOptions(hostname="node-1", kubernetes=True))
    cache.update([entity], {}, {entity: (Owner(Holder("ns", "p", "c"), selected),)})
    (text,) = cache.blocks(Sample(entity, "F", 1, float("inf")))
    assert "\n" not in text
    (family,) = text_string_to_metric_families(f"F{{{text}}} 1\n")
    (sample,) = family.samples
    assert {name: value for name, value in sample.labels.items() if name not in BUILT_IN} == dict(selected)
    assert sample.labels["pod"] == "p"


@given(st.dictionaries(NAME, st.text(), max_size=8))
def test_the_order_of_labels_does_not_matter(labels: dict[str, str]) -> None:
    assert select(labels) == select(dict(reversed(labels.items())))


@given(NAME)
def test_a_printed_name_stays_as_it_is(name: str) -> None:
    assert printed_name(printed_name(name)) == printed_name(name)


def test_a_value_that_is_no_text_becomes_some() -> None:
    ((_, value),) = select({"app": "half \ud83d"})
    assert value == "half ?"

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.attribution.pod_labels import BUILT_IN, PodLabels, printed_name
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Entity, Gpu, Holder, Instance, Owner, Sample
from exporter.settings import LabelStyle

GPU = Gpu(0, "GPU-1", "00000000:01:00.0", 0, "NVIDIA H100")
NAME = st.from_regex(r"[a-zA-Z0-9_./-]{1,40}", fullmatch=True) | st.text(min_size=1)


def dropped(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


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
    assert PodLabels().select({"b": "1", "a.b": "2", "a": "3"}) == (("a", "3"), ("a_b", "2"), ("b", "1"))


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
    assert PodLabels().select({name: "x"}) == ((printed, "x"),)


def test_of_two_labels_with_one_printed_name_the_one_that_is_written_so_counts() -> None:
    for labels in ({"a.b": "dot", "a_b": "own"}, {"a_b": "own", "a.b": "dot"}):
        assert PodLabels().select(labels) == (("a_b", "own"),)


def test_of_others_with_one_printed_name_the_first_by_name_counts() -> None:
    for labels in ({"a/b": "slash", "a-b": "dash", "a.b": "dot"}, {"a.b": "dot", "a-b": "dash", "a/b": "slash"}):
        assert PodLabels().select(labels) == (("a_b", "dash"),)


@pytest.mark.parametrize("allowed", ["^app$", "pp", "^a", "zzz|app"])
def test_a_label_is_printed_if_an_expression_is_found_in_its_name(allowed: str) -> None:
    assert PodLabels([allowed]).select({"app": "x", "team": "y"}) == (("app", "x"),)


def test_expressions_are_matched_against_the_pods_own_names() -> None:
    labels = {"app.kubernetes.io/name": "x", "app_kubernetes_io_part": "y"}
    assert PodLabels([r"^app\.kubernetes\.io/"]).select(labels) == (("app_kubernetes_io_name", "x"),)


def test_any_of_several_expressions_is_enough() -> None:
    assert PodLabels(["^a$", "^b$"]).select({"a": "1", "b": "2", "c": "3"}) == (("a", "1"), ("b", "2"))


def test_a_label_that_is_not_allowed_hides_none_that_is() -> None:
    assert PodLabels([r"\."]).select({"a.b": "dot", "a_b": "own"}) == (("a_b", "dot"),)


@pytest.mark.parametrize("style", LabelStyle)
@pytest.mark.parametrize("use_old_namespace", [False, True])
def test_no_label_of_any_style_can_be_overwritten(style: LabelStyle, *, use_old_namespace: bool) -> None:
    names = printed_label_names(style, use_old_namespace=use_old_namespace)
    assert {"gpu", "pci_bus_id", "GPU_I_ID", "nvlink"} < names
    assert PodLabels().select(dict.fromkeys(names, "evil")) == ()


OTHERS = [
    *("vgpu", "hpc_job", "pod_uid", "dra_claim_name", "dra_claim_namespace", "dra_device_name", "dra_driver_name"),
    *("dra_pool_name", "dra_mig_profile", "dra_mig_device_uuid", "err_code", "err_msg", "xid", "clock_event"),
    *("window_size_in_ms", "DCGM_FI_DRIVER_VERSION", "DCGM_FI_DEV_SERIAL", "dcgm_driver_version", "__name__"),
    *("pod-uid", "dra.pool/name", "DCGM.FI-DEV_SERIAL", "pci.bus.id", "GPU-I/ID"),
]


@pytest.mark.parametrize("name", OTHERS)
def test_no_label_of_an_owner_or_a_series_can_be_overwritten(name: str) -> None:
    assert PodLabels().select({name: "evil", "app": "x"}) == (("app", "x"),)


@pytest.mark.parametrize("name", ["Pod", "GPU", "dra", "xid2", "namespaces", "gpu.x"])
def test_names_that_only_resemble_built_in_ones_are_printed(name: str) -> None:
    assert PodLabels().select({name: "x"}) == ((name.replace(".", "_"), "x"),)


def test_each_built_in_name_that_is_taken_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    labels = PodLabels()
    for pod in range(100):
        labels.select({"pod": str(pod), "pod-uid": "x", f"DCGM_{pod}": "x"})
    assert len(dropped(caplog)) == 3
    assert any("'pod-uid'" in line and "pod_uid" in line for line in dropped(caplog))


def test_labels_that_are_not_allowed_are_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    PodLabels(["^app$"]).select({"pod": "x"})
    assert dropped(caplog) == []


@given(st.dictionaries(NAME, st.text(), max_size=8))
def test_any_labels_stay_one_well_formed_line(labels: dict[str, str]) -> None:
    selected = PodLabels().select(labels)
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
    assert PodLabels().select(labels) == PodLabels().select(dict(reversed(labels.items())))


@given(NAME)
def test_a_printed_name_stays_as_it_is(name: str) -> None:
    assert printed_name(printed_name(name)) == printed_name(name)


def test_a_value_that_is_no_text_becomes_some() -> None:
    ((_, value),) = PodLabels().select({"app": "half \ud83d"})
    assert value == "half ?"

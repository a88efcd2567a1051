"""The recorded dcgm-exporter as the contract: same names, types, order, label names and label order, and units.

The recordings are of dcgm-exporter 4.5.3-4.8.2 on DCGM 4.6.0, of one H100 and of eight mock ones. Ours come from the
same H100's NVML readings, taken at another time. Every difference stands in DIFFERENCES, and so in
docs/compatibility.md.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter import fields
from exporter.labels import LabelOptions
from exporter.mock import Scenario
from exporter.model import Entity, Holder, Owner
from exporter.settings import parse_devices
from tests.golden.memory_scrape import Setup, counters_of, scrape
from tests.golden.series import Series, of_dcgm, read_series, read_types
from tests.unit.mock_machines import scenario

DATA = Path(__file__).parent / "data"
COMPATIBILITY = Path(__file__).parents[2] / "docs" / "compatibility.md"

XID = "DCGM_FI_DEV_XID_ERRORS"
XID_SINCE = "gpu_exporter_xid_listening_start_time_seconds"
POD_LABELS = ("container", "namespace", "pod")


class Difference(NamedTuple):
    """One thing that ours prints otherwise, as a row of the table in docs/compatibility.md."""

    what: str
    theirs: str
    ours: str
    why: str

    def row(self) -> str:
        return f"| {' | '.join(self)} |"


DIFFERENCES = (
    Difference(
        f"`{XID}` before any Xid",
        "no series",
        '0, with `err_code="0"`',
        "the exporter listens and has heard none. A missing series could also mean a failure.",
    ),
    Difference(
        f"`{XID}` after an Xid",
        "the last code until the process ends",
        "the same; with `--xid-reset-after 1h` it returns to 0 after an hour without an Xid",
        "users have asked for this since 2023 (dcgm-exporter issues 190 and 500).",
    ),
    Difference(
        "an unknown Xid",
        "one series of `DCGM_EXP_XID_ERRORS_*` per code",
        'the first 16 such codes per GPU; all others are `xid="other"`',
        "a driver that returns garbage must not fill Prometheus.",
    ),
    Difference(
        "`DCGM_EXP_CLOCK_EVENTS_TOTAL` of a reason that never occurred",
        "no series",
        "0",
        "so the first event is an increase, too.",
    ),
    Difference(
        f"`{XID_SINCE}`, `gpu_exporter_xid_timestamp_seconds`",
        "not there",
        "for each GPU and MIG instance",
        "they say since when a 0 means no Xid, and when the last Xid of each code came.",
    ),
    Difference(
        "pod labels with `-k` if no pod holds the GPU",
        "not there",
        "present but empty",
        "without them the scrape adds the exporter's own pod, and an autoscaler counts it.",
    ),
    Difference(
        "`NVLINK_{CRC_FLIT,REPLAY,RECOVERY}_ERROR_TOTAL` and `NVLINK_ECC_ERROR_TOTAL` on Hopper",
        "no series",
        "the sum over the links",
        "NVML has no sum there, but counts each link ([nvlink.md](nvlink.md#errors)).",
    ),
    Difference(
        "decimals",
        "always six",
        "as many as needed",
        "the values are equal; 0.000006 would be rounded.",
    ),
    Difference(
        "help texts",
        "NVIDIA's",
        "this project's",
        "no program reads them; those of your own counters file are printed unchanged.",
    ),
)


def one_h100(state: str) -> Scenario:
    return scenario(f"gpus: [{{profile: h100-sxm, load: {{kind: replay, recording: h100-{state}}}}}]")


def recorded(state: str) -> str:
    return (DATA / f"h100-dcgm-exporter-{state}.metrics").read_text(encoding="utf-8")


both_states = pytest.mark.parametrize("state", ["idle", "busy"])
both_files = pytest.mark.parametrize("file", ["default-counters.csv", "dcp-metrics-included.csv"])


@both_states
@both_files
def test_same_names_in_the_same_order_with_the_same_types(state: str, file: str) -> None:
    ours = read_types(scrape(one_h100(state), 3.0, Setup(counters=counters_of(file))))
    shared = [(name, kind) for name, kind in ours.items() if name.startswith("DCGM_") and name != XID]
    assert shared == list(read_types(recorded(state)).items())
    assert (ours[XID], ours[XID_SINCE]) == ("gauge", "gauge")


def test_names_come_in_the_order_of_field_ids() -> None:
    names = list(dict.fromkeys(series.name for series in of_dcgm(scrape(one_h100("idle"), 3.0, Setup()))))
    ids = [field.id for field in map(fields.find, names) if field is not None]
    assert ids == sorted(ids)
    assert len(ids) == len(names)


@both_states
def test_a_scrape_of_ours_on_the_real_card_has_the_same_series(state: str) -> None:
    """Taken by `make device-test` on an H100; docs/h100.md compares its values with NVML's."""
    page = (DATA / f"h100-own-{state}.metrics").read_text(encoding="utf-8")
    ours = [(series.name, series.label_names) for series in of_dcgm(page) if series.name != XID]
    assert ours == [(series.name, series.label_names) for series in read_series(recorded(state))]
    types = read_types(page)
    assert {name: types[name] for name, _ in ours} == read_types(recorded(state))


@both_states
def test_same_label_names_in_the_same_order(state: str) -> None:
    theirs = {series.label_names for series in read_series(recorded(state))}
    ours = {series.label_names for series in of_dcgm(scrape(one_h100(state), 3.0, Setup())) if series.name != XID}
    assert ours == theirs
    assert len(ours) == 1


def test_xid_has_the_two_labels_that_explain_it_behind_the_others() -> None:
    by_name = {series.name: series for series in of_dcgm(scrape(one_h100("idle"), 3.0, Setup()))}
    assert by_name[XID].label_names == (*by_name["DCGM_FI_DEV_GPU_UTIL"].label_names, "err_code", "err_msg")


@both_states
def test_labels_that_name_the_same_card_have_the_same_values(state: str) -> None:
    (theirs, *_), (ours, *_) = read_series(recorded(state)), of_dcgm(scrape(one_h100(state), 3.0, Setup()))
    same = ("gpu", "device", "modelName", "DCGM_FI_DRIVER_VERSION")
    assert [ours.labels[name] for name in same] == [theirs.labels[name] for name in same]
    for name in ("UUID", "pci_bus_id"):
        assert shape(ours.labels[name]) == shape(theirs.labels[name])


def shape(text: str) -> str:
    return "".join("x" if char in "0123456789abcdefABCDEF" else char for char in text)


@both_states
def test_values_of_the_same_card_are_of_the_same_magnitude(state: str) -> None:
    """A wrong unit is a factor of 100 or more; the card at another time is within 10."""
    ours = {series.name: float(series.value) for series in of_dcgm(scrape(one_h100(state), 3.0, Setup()))}
    for series in read_series(recorded(state)):
        theirs = float(series.value)
        if theirs == 0:
            assert ours[series.name] == 0, series.name
        else:
            assert 0.1 < ours[series.name] / theirs < 10, series.name


@both_states
def test_whole_numbers_and_fractions_are_on_the_same_series(state: str) -> None:
    theirs = {series.name: "." in series.value for series in read_series(recorded(state))}
    ours = {series.name: not series.value.isdigit() for series in of_dcgm(scrape(one_h100(state), 3.0, Setup()))}
    assert {name: ours[name] for name in theirs} == theirs


# The label shapes of eight mock H100s.

RUNS = {run["name"]: run for run in json.loads((DATA / "dcgm-exporter-label-shapes.json").read_text("utf-8"))["runs"]}
EIGHT = scenario("gpus: [{profile: h100-sxm, count: 8}]")
THREE_COUNTERS = tuple(
    counter
    for counter in counters_of("default-counters.csv")
    if counter.name
    in {"DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DRIVER_VERSION"}
)
PLAIN = Setup(counters=THREE_COUNTERS, labels=LabelOptions(hostname="node-1"))
SETUPS = {
    "no-kubernetes": PLAIN,
    "replace-blanks": replace(PLAIN, labels=replace(PLAIN.labels, replace_blanks_in_model_name=True)),
    "devices-g-0-1": replace(PLAIN, devices=parse_devices("g:0,1")),
    "devices-i": replace(PLAIN, devices=parse_devices("i")),
}

Shape = tuple[str, dict[str, str]]


def recorded_shapes(run: str) -> list[Shape]:
    return [shape_of(series) for series in read_series("\n".join(RUNS[run]["series"]))]


def shape_of(series: Series) -> Shape:
    """Return a series without what another machine has otherwise: the numbers of the card, bus and driver."""
    elsewhere = ("UUID", "uuid", "pci_bus_id", "DCGM_FI_DRIVER_VERSION")
    return series.name, {name: "" if name in elsewhere else value for name, value in series.labels.items()}


def assert_same_shapes(ours: list[Shape], theirs: list[Shape]) -> None:
    assert ours == theirs
    assert [tuple(labels) for _, labels in ours] == [tuple(labels) for _, labels in theirs]  # in their order too


@pytest.mark.parametrize("run", SETUPS)
def test_flags_without_pods_give_the_recorded_series(run: str) -> None:
    assert_same_shapes([shape_of(s) for s in of_dcgm(scrape(EIGHT, 3.0, SETUPS[run]))], recorded_shapes(run))


def exclusive_pod(entity: Entity) -> tuple[Owner, ...]:
    return (Owner(Holder("team-a", "exclusive", "main")),) if entity.gpu.index == 0 else ()


@pytest.mark.parametrize(
    ("run", "old", "pod_labels"),
    [
        ("kubernetes", False, POD_LABELS),
        ("kubernetes-old-namespace", True, ("container_name", "pod_name", "pod_namespace")),
    ],
)
def test_held_gpu_has_the_recorded_labels_and_an_idle_one_has_them_empty(
    run: str, old: bool, pod_labels: tuple[str, ...]
) -> None:
    labels = replace(PLAIN.labels, kubernetes=True, use_old_namespace=old)
    page = scrape(EIGHT, 3.0, replace(PLAIN, labels=labels, owner=exclusive_pod))
    ours = [shape_of(series) for series in of_dcgm(page)]
    theirs = recorded_shapes(run)
    assert_same_shapes(of_gpu(ours, "0"), of_gpu(theirs, "0"))
    nobody = dict.fromkeys(pod_labels, "")
    assert_same_shapes(of_gpu(ours, "2"), [(name, labels | nobody) for name, labels in of_gpu(theirs, "2")])


def of_gpu(shapes: list[Shape], gpu: str) -> list[Shape]:
    return [shape for shape in shapes if shape[1]["gpu"] == gpu]


def test_documentation_has_the_same_table_of_differences() -> None:
    lines = COMPATIBILITY.read_text(encoding="utf-8").split("\n")
    start = lines.index("| what | dcgm-exporter | here | why |") + 2
    rows = lines[start : lines.index("", start)]
    assert rows == [difference.row() for difference in DIFFERENCES]

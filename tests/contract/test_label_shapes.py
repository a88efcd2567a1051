"""dcgm-exporter's series for each way of holding a GPU, recorded with its flags, as the contract.

The recording has eight mock H100s and the pods that hold them. Here the same pods hold the same GPUs, and each run's
series must be the same, in the same order, but for what stands in DIFFERENCES, and so in docs/compatibility.md.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exporter.attribution.claims import Dra, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.attribution.jobs import parse_jobs
from exporter.attribution.owners import Evidence, attribute
from exporter.labels import LabelOptions
from exporter.model import Entity, Owner
from podresources.allocations import Allocation, Allocations
from tests.golden.memory_scrape import Setup, counters_of, scrape
from tests.golden.series import Series, of_dcgm, read_series
from tests.unit.mock_machines import scenario

RECORDING: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "dcgm-exporter-label-shapes.json").read_text(encoding="utf-8")
)
COMPATIBILITY = Path(__file__).parents[2] / "docs" / "compatibility.md"
THEIR_UUIDS = "GPU-01000100-0000-0000-0000-00000000000"
FIELDS = ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DRIVER_VERSION")
PARTS = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED")
EIGHT = scenario("gpus: [{profile: h100-sxm, count: 8}]")
COUNTERS = tuple(counter for counter in counters_of("default-counters.csv") if counter.name in FIELDS)
JOBS = {0: b"job-7\njob-9\n", 2: b"job-11\n"}
"""The HPC job files of the recording."""

Labels = dict[str, str]
Shape = tuple[str, Labels]


class Run(NamedTuple):
    """The recorded flags, as ours has them."""

    labels: LabelOptions = LabelOptions(hostname="node-1", kubernetes=True)
    name_shares: bool = False
    has_jobs: bool = False


RUNS = {
    "kubernetes": Run(),
    "kubernetes-virtual-gpus": Run(name_shares=True),
    "kubernetes-old-namespace": Run(LabelOptions(hostname="node-1", kubernetes=True, use_old_namespace=True)),
    "device-name-ids": Run(),
    "hpc": Run(LabelOptions(hostname="node-1"), has_jobs=True),
}
every_run = pytest.mark.parametrize("run", RUNS)
every_run_with_pods = pytest.mark.parametrize("run", [run for run in RUNS if run != "hpc"])


def theirs(run: str) -> list[Shape]:
    [found] = [found for found in RECORDING["runs"] if found["name"] == run]
    return [shape_of(series) for series in read_series("\n".join(found["series"]))]


def ours(run: str, allocations: Callable[[Entity], Allocations] | None = None) -> list[Shape]:
    how = RUNS[run]

    def owners(entity: Entity) -> tuple[Owner, ...]:
        held = (allocations or recorded_allocations)(entity) if how.labels.kubernetes else ()
        claims = find_claims(held, EntityIndex((entity,)), Resources(), Dra(), name_shares=how.name_shares)
        index = entity.gpu.index
        jobs = {str(index): parse_jobs(JOBS[index])} if how.has_jobs and index in JOBS else {}
        return attribute(Evidence((entity,), allocations=held, jobs=jobs), claims).owners[entity]

    page = scrape(EIGHT, 3.0, Setup(counters=COUNTERS, labels=how.labels, owner=owners))
    return [shape_of(series) for series in of_dcgm(page)]


def recorded_allocations(entity: Entity) -> Allocations:
    """Return what kubelet lists in the recording, with an entity's own UUID for the GPU that has its number there."""
    return tuple(
        Allocation(pod["namespace"], pod["name"], container["name"], resource, device_id)
        for pod in RECORDING["pods"]
        for container in pod["containers"]
        for resource, ids in container["devices"].items()
        for device_id in (text.replace(f"{THEIR_UUIDS}{entity.gpu.index}", entity.gpu.uuid) for text in ids)
    )


def shape_of(series: Series) -> Shape:
    """Return a series without what another machine has otherwise: the numbers of the card, bus and driver."""
    elsewhere = ("UUID", "uuid", "pci_bus_id", "DCGM_FI_DRIVER_VERSION")
    return series.name, {name: "" if name in elsewhere else value for name, value in series.labels.items()}


# Each difference: the row in the documentation, and what it makes of their series.

POD_LABELS = ("container", "namespace", "pod")
OLD_POD_LABELS = ("container_name", "pod_name", "pod_namespace")


class Difference(NamedTuple):
    """One way in which ours differs: how dcgm-exporter's series of a run become ours."""

    what: str
    theirs: str
    ours: str
    why: str
    apply: Callable[[str, list[Shape]], list[Shape]]

    def row(self) -> str:
        return f"| {' | '.join(self[:4])} |"


def pod_labels(run: str, pod: str) -> Labels:
    """Return the labels of namespace/pod/container as a run has them; of nobody for nothing at all."""
    namespace, name, container = pod.split("/") if pod else ("", "", "")
    if run == "kubernetes-old-namespace":
        return dict(zip(OLD_POD_LABELS, (container, name, namespace), strict=True))
    return dict(zip(POD_LABELS, (container, namespace, name), strict=True))


def held_by(gpu: str, *pods: str, share: str = "") -> Callable[[str, list[Shape]], list[Shape]]:
    """Return a change that gives each series of a GPU to pods, in their order, in place of what it says."""

    def apply(run: str, shapes: list[Shape]) -> list[Shape]:
        changed: dict[str, Shape] = {}
        for name, labels in shapes:
            if labels["gpu"] != gpu:
                changed[repr((name, labels))] = name, labels
                continue
            bare = {key: labels[key] for key in labels if key not in {*POD_LABELS, *OLD_POD_LABELS, "vgpu"}}
            for pod in pods:
                more = {"vgpu": share} if share and RUNS[run].name_shares else {}
                shape = name, {**bare, **pod_labels(run, pod), **more}
                changed[repr(shape)] = shape
        return list(changed.values())

    return apply


def shares_alone(run: str, shapes: list[Shape]) -> list[Shape]:
    """Leave out the pods' own parts, and let the device's series be each holder's, as those of other fields are."""
    if run != "kubernetes-virtual-gpus":
        return shapes
    power = [labels for name, labels in shapes if name == FIELDS[0]]
    return [(name, labels) for name in FIELDS if any(name == found for found, _ in shapes) for labels in power]


def all_pods_of_shared(run: str, shapes: list[Shape]) -> list[Shape]:
    if run == "kubernetes-virtual-gpus":
        return shapes
    shapes = held_by("1", "team-a/shared-one/main", "team-b/shared-two/main")(run, shapes)
    shapes = held_by("5", "team-d/two-containers/first", "team-d/two-containers/second")(run, shapes)
    return held_by("7", "team-f/twice/main")(run, shapes)


def uuids_known_as_well(run: str, shapes: list[Shape]) -> list[Shape]:
    """Give the GPUs of a run with device names the owners that they have in the run without that flag."""
    return theirs("kubernetes") if run == "device-name-ids" else shapes


DIFFERENCES = (
    Difference(
        "ids of another form than `--kubernetes-gpu-id-type`",
        "ignored",
        "understood",
        "the form is clear from the id, so both forms work with any setting.",
        uuids_known_as_well,
    ),
    Difference(
        "a GPU that several pods or containers share",
        "only the last one, unless `--kubernetes-virtual-gpus` is set",
        "always one series each",
        "otherwise the others could not be scaled. For the device's own value use `max by (Hostname, UUID, GPU_I_ID)`.",
        all_pods_of_shared,
    ),
    Difference(
        "the resource `nvidia.com/gpu.shared`",
        "ignored, unless `--nvidia-resource-names` names it",
        "counts",
        "NVIDIA's device plugin uses it for shared GPUs.",
        held_by("6", "team-e/shared-resource/main", share="3"),
    ),
    Difference(
        "`GPU_UTIL` and `FB_USED` with `--kubernetes-virtual-gpus`",
        "each pod's own part, with `pod_uid`, and the device's value without pod labels",
        "the device's value for each share, as for any other field",
        "a pod's part is not measured yet.",
        shares_alone,
    ),
    Difference(
        "a GPU that no pod holds, with `-k`",
        "no pod labels",
        "empty pod labels",
        "see the table above.",
        held_by("2", ""),
    ),
)


@every_run
def test_series_are_the_recorded_ones_but_for_the_differences(run: str) -> None:
    expected = theirs(run)
    for difference in DIFFERENCES if RUNS[run].labels.kubernetes else ():
        expected = difference.apply(run, expected)
    found = ours(run)
    assert found == expected
    assert [list(labels) for _, labels in found] == [list(labels) for _, labels in expected]  # in their order too


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.what)
def test_every_difference_makes_one(difference: Difference) -> None:
    assert any(difference.apply(run, theirs(run)) != theirs(run) for run in RUNS)


@every_run_with_pods
def test_pods_that_they_show_are_shown_here_on_the_same_gpus(run: str) -> None:
    named = OLD_POD_LABELS if run == "kubernetes-old-namespace" else POD_LABELS

    def holders(shapes: list[Shape]) -> set[tuple[str, ...]]:
        found = {(labels["gpu"], *(labels.get(name, "") for name in named)) for _, labels in shapes}
        return {holder for holder in found if any(holder[1:])}

    assert holders(theirs(run)) <= holders(ours(run))
    assert len(holders(ours(run))) == 9


@every_run_with_pods
def test_device_names_mean_the_same_as_uuids(run: str) -> None:
    def by_name(entity: Entity) -> Allocations:
        """Name the GPUs as GKE does; the mock's minor numbers are the indices."""
        return tuple(
            held._replace(device_id=f"nvidia{entity.gpu.minor}" + held.device_id[len(entity.gpu.uuid) :])
            for held in recorded_allocations(entity)
            if isinstance(held, Allocation) and held.device_id.startswith(entity.gpu.uuid)
        )

    assert ours(run, by_name) == ours(run)


def test_documentation_has_the_same_table_of_differences() -> None:
    lines = COMPATIBILITY.read_text(encoding="utf-8").split("\n")
    start = lines.index("| with pods | dcgm-exporter | here | why |") + 2
    rows = lines[start : lines.index("", start)]
    assert rows == [difference.row() for difference in DIFFERENCES]

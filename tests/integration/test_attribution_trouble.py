"""Kubelet in every kind of trouble, on a real socket: what stands on the page meanwhile.

Time is the tests' own, so that a minute takes none; only kubelet's answers are waited for.
"""

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.agent.ownership import owner_news
from exporter.attribution.attributor import SILENT_AFTER_S, AttributionOptions, Attributor, known_allocations
from exporter.attribution.owners import OWNER_INFO, Evidence
from exporter.exposition import Format
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Condition, Entity, GpuState
from exporter.pages import Content, Pages
from exporter.telemetry import Telemetry, TelemetrySources
from podresources.allocations import Allocations
from podresources.client import PodResourcesClient
from podresources.fake_kubelet import AnswerBytes, CutOff, FakeKubelet, Hang, KubeletFault, RateLimit, Refuse, Slow
from podresources.fake_pods import Container, Pod
from podresources.poller import Poller
from tests.golden.series import read_series
from tests.golden.soundness import assert_sound
from tests.unit.entities import counter, sample, snapshot
from tests.unit.fake_clock import FakeClock
from tests.unit.holding import GPU_RESOURCE, gpu, uuid_of

GPU, IDLE = gpu(0), gpu(1)
UTIL = counter("DCGM_FI_DEV_GPU_UTIL")
NOBODY = ("", "", "")
WEB, NEXT = ("team-a", "web-0", "main"), ("team-a", "web-1", "main")
ORDINARY_USER = 65534

Owner = tuple[str, str, str]


def pod(name: str, *devices: str) -> Pod:
    return Pod("team-a", name, [Container("main", {GPU_RESOURCE: devices})])


class Asking:
    """Asks kubelet: patiently, so that a busy machine fails no call, and hastily where no answer ever comes."""

    def __init__(self, path: Path) -> None:
        self._patient, self._hasty = PodResourcesClient(path, deadline_s=30), PodResourcesClient(path, deadline_s=0.1)
        self.is_hasty = False

    def list(self) -> Allocations:
        return (self._hasty if self.is_hasty else self._patient).list()

    def close(self) -> None:
        self._hasty.close()
        self._patient.close()


class Exporter:
    """Attribution and the page, moved on by hand, second by second."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.asking = Asking(path)
        self._poller = Poller(self.asking, self.clock)
        self._attributor = Attributor(self._evidence, AttributionOptions(), self.clock)
        known = TelemetrySources(
            version="0",
            source="mock",
            states=self._states,
            nvml_works=lambda: True,
            failures=dict,
            scrapes=dict,
            reloaded=lambda: (True, 0.0),
            owner_news=lambda: owner_news(self._attributor, self._poller.latest(), {}),
        )
        content = Content(self._states, self._attributor.attribution, lambda: (UTIL, OWNER_INFO))
        self._pages = Pages(content, Telemetry(known), LabelCache(LabelOptions(kubernetes=True)), self.clock)

    def _evidence(self) -> Evidence:
        return Evidence((GPU, IDLE), allocations=known_allocations(self._poller.latest(), self.clock.now))

    def _states(self) -> tuple[GpuState, ...]:
        return tuple(self._state(entity) for entity in (GPU, IDLE))

    def _state(self, entity: Entity) -> GpuState:
        expires = self.clock.now + 3.0
        newest = snapshot(sample(UTIL.name, 7, entity, expires), entity=entity, expires=expires)
        return GpuState(entity.gpu.index, entity.gpu, Condition.SAMPLED, newest, (entity,))

    def go_on(self, seconds: int) -> None:
        """Ask kubelet once in each second, and attribute."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self._poller.poll()
            self._attributor.look()

    def page(self) -> str:
        page = self._pages.page(Format.TEXT).text.decode()
        assert_sound(page, Format.TEXT)
        return page

    def owners(self) -> list[Owner]:
        """Return namespace, pod and container of each series of the two GPUs, in their order."""
        series = [s.labels for s in read_series(self.page()) if s.name == UTIL.name]
        assert {s["gpu"] for s in series} == {"0", "1"}
        return [(s["namespace"], s["pod"], s["container"]) for s in series]

    def own(self, name: str) -> float:
        """Return the value of one of the exporter's own series; `name` has its labels, if any."""
        [line] = [line for line in self.page().splitlines() if line.startswith(f"gpu_exporter_{name} ")]
        return float(line.split(" ")[1])

    def reasons(self) -> set[str]:
        return {s.labels["reason"] for s in read_series(self.page()) if s.name == OWNER_INFO.name}

    def close(self) -> None:
        self.asking.close()


@dataclass(frozen=True, slots=True)
class Node:
    """A kubelet with a pod on the first GPU, and an exporter that has heard it once."""

    path: Path
    kubelet: FakeKubelet
    exporter: Exporter


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where the socket is: not in pytest's folder, which is closed to other users."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "kubelet.sock"
    shutil.rmtree(folder)


@pytest.fixture
def node(path: Path) -> Iterator[Node]:
    kubelet, exporter = FakeKubelet(path, [pod("web-0", uuid_of(GPU))]), Exporter(path)
    kubelet.start()
    try:
        exporter.go_on(1)
        assert exporter.owners() == [WEB, NOBODY]
        assert exporter.own("owners_known") == 1
        yield Node(path, kubelet, exporter)
    finally:
        exporter.close()
        kubelet.stop()


Trouble = Callable[[Node], None]


def fault(kind: KubeletFault) -> Trouble:
    return lambda node: node.kubelet.set_fault(kind)


def silence(kind: Hang | Slow) -> Trouble:
    def trouble(node: Node) -> None:
        node.kubelet.set_fault(kind)
        node.exporter.asking.is_hasty = True

    return trouble


def dead(node: Node) -> None:
    node.kubelet.stop()


def gone(node: Node) -> None:
    node.kubelet.stop()
    node.path.unlink()


def a_folder(node: Node) -> None:
    gone(node)
    node.path.mkdir()


def a_file(node: Node) -> None:
    gone(node)
    node.path.touch()


def somebody_else(node: Node) -> None:
    gone(node)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(node.path))


def mend(node: Node) -> None:
    node.exporter.asking.is_hasty = False
    node.kubelet.set_fault(None)
    node.kubelet.stop()
    if node.path.is_dir():
        node.path.rmdir()
    else:
        node.path.unlink(missing_ok=True)
    node.kubelet.start()


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "hangs": (silence(Hang()), "timed_out"),
    "is slow": (silence(Slow(30)), "timed_out"),
    "refuses": (fault(Refuse("INTERNAL", "no\nidea")), "unexpected_answer"),
    "has another API": (fault(Refuse("UNIMPLEMENTED")), "unexpected_answer"),
    "has too much to do": (fault(RateLimit(per_second=0, burst=0)), "unreachable"),
    "answers garbage": (fault(AnswerBytes(b"\xff\xff\xff\xff")), "unexpected_answer"),
    "is cut off": (fault(CutOff()), "unexpected_answer"),
    "is dead": (dead, "unreachable"),
    "socket is missing": (gone, "socket_missing"),
    "socket is a folder": (a_folder, "socket_missing"),
    "socket is a file": (a_file, "socket_missing"),
    "socket is somebody else's": (somebody_else, "unreachable"),
}


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_owners_are_kept_for_a_minute_then_unknown_and_come_back(
    node: Node, trouble: Trouble, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    exporter = node.exporter
    answered_at = exporter.own("pod_resources_timestamp_seconds")
    trouble(node)
    exporter.go_on(3)
    assert exporter.owners() == [WEB, NOBODY]
    assert exporter.own("owners_known") == 1
    assert exporter.own(f'pod_resources_errors_total{{reason="{reason}"}}') == 3

    exporter.clock.advance(SILENT_AFTER_S - 3)
    exporter.go_on(1)
    assert exporter.owners() == [NOBODY, NOBODY]
    assert exporter.own("owners_known") == 0
    assert exporter.own("pod_resources_timestamp_seconds") == answered_at
    assert exporter.reasons() == {"kubelet_silent"}

    mend(node)
    node.kubelet.set_pods([pod("web-1", uuid_of(GPU))])
    exporter.go_on(1)
    assert exporter.owners() == [NEXT, NOBODY]
    assert exporter.own("owners_known") == 1
    assert exporter.own("pod_resources_timestamp_seconds") == exporter.clock.wall
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "once each: that, and its end"
    assert not any("\n" in record.getMessage() for record in caplog.records)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be an ordinary user for a while; who is one already stays it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(ORDINARY_USER)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


def test_right_that_is_taken_away_costs_no_series_either(node: Node) -> None:
    node.path.parent.chmod(0)
    node.kubelet.set_pods([pod("web-1", uuid_of(GPU))])
    with without_rights():
        node.exporter.go_on(3)
        assert node.exporter.owners() == [WEB, NOBODY]
    node.path.parent.chmod(0o755)
    assert node.exporter.own('pod_resources_errors_total{reason="unreachable"}') == 3
    node.exporter.go_on(1)
    assert node.exporter.owners() == [NEXT, NOBODY]


def test_kubelet_that_was_never_there_costs_the_pod_labels_alone(path: Path) -> None:
    exporter = Exporter(path)
    exporter.go_on(3)
    assert exporter.owners() == [NOBODY, NOBODY]
    assert exporter.own("owners_known") == 0
    assert exporter.reasons() == {"kubelet_silent"}
    assert "gpu_exporter_pod_resources_timestamp_seconds" not in exporter.page()
    exporter.close()


def test_pods_without_containers_or_devices_hold_nothing(node: Node) -> None:
    none, idle = Pod("team-a", "none"), Pod("team-a", "idle", [Container("main")])
    node.kubelet.set_pods([none, idle, pod("web-1", uuid_of(IDLE))])
    node.exporter.go_on(1)
    assert node.exporter.owners() == [NOBODY, NEXT]


def test_thousand_pods_are_no_trouble(node: Node) -> None:
    node.kubelet.set_pods(pod(f"web-{n:03}", f"{uuid_of(GPU)}::{n}") for n in range(1000))
    node.exporter.go_on(1)
    assert node.exporter.owners() == [*(("team-a", f"web-{n:03}", "main") for n in range(1000)), NOBODY]

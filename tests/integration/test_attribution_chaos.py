"""A kubelet that restarts a hundred times, each time with other owners, while the program is scraped at 10 Hz."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exporter.exposition import Format
from podresources.fake_kubelet import FakeKubelet, Hang
from podresources.fake_pods import Container, Pod
from tests.golden.series import read_series
from tests.golden.soundness import assert_sound
from tests.integration.program import Program, Start
from tests.unit.fake_api_server import FakeApiServer
from tests.waiting import PATIENCE_S, until

RESTARTS = 100
LEFT_ALONE_EACH = 25
"""After so many restarts kubelet is left alone until its newest owners are shown."""
GPUS = 8

Owners = Mapping[str, str]
"""The pod of each GPU, by the GPU's UUID; empty for nobody."""


class Scrape(NamedTuple):
    """What a scrape found, as the number of the generation of owners that it showed."""

    generation: int
    answered_at: float


def pods_of(owners: Owners) -> list[Pod]:
    return [Pod("team-a", pod, [Container("main", {"nvidia.com/gpu": [uuid]})]) for uuid, pod in owners.items() if pod]


def owners_of(generation: int, uuids: list[str]) -> Owners:
    """Return owners of which none is the last generation's; another GPU is free each time."""
    free = generation % len(uuids)
    return {uuid: "" if n == free else f"web-{generation}-{n}" for n, uuid in enumerate(uuids)}


def shown(page: str) -> dict[str, set[str]]:
    """Return all pods that a page shows, by the UUID of the GPU."""
    found: dict[str, set[str]] = {}
    for series in read_series(page):
        if "UUID" in series.labels:
            found.setdefault(series.labels["UUID"], set()).add(series.labels["pod"])
    return found


class Scraper:
    """Scrapes ten times a second until it is told to stop; what is wrong with a scrape stands in `wrong`."""

    def __init__(self, program: Program, uuids: list[str]) -> None:
        self.scrapes: list[Scrape] = []
        self.wrong: list[str] = []
        self._program = program
        self._uuids = uuids
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def scraping(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(PATIENCE_S)

    def shows(self, generation: int) -> bool:
        assert not self.wrong, self.wrong[0]
        return bool(self.scrapes) and self.scrapes[-1].generation == generation

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                self.scrapes.append(self._scrape())
            except (AssertionError, OSError) as error:
                self.wrong.append(str(error))

    def _scrape(self) -> Scrape:
        status, page = self._program.get("/metrics")
        assert status == 200
        assert_sound(page, Format.TEXT)
        found = shown(page)
        [generation] = {int(pod.split("-")[1]) for pods in found.values() for pod in pods if pod}
        assert found == {uuid: {pod} for uuid, pod in owners_of(generation, self._uuids).items()}
        return Scrape(generation, time.monotonic())


def test_every_scrape_shows_the_old_owners_or_the_new_ones_and_in_the_end_the_new(start: Start, tmp_path: Path) -> None:
    path, scenario = tmp_path / "kubelet.sock", tmp_path / "lab.yaml"
    scenario.write_text("gpus: [{profile: h100-sxm, count: 8, load: 50}]\n")
    program = start("--mock", str(scenario), "-k", "--pod-resources-kubelet-socket", str(path), "-c", "500")
    program.until(lambda: len(shown(program.get("/metrics")[1])) == GPUS)
    uuids = sorted(shown(program.get("/metrics")[1]))
    with FakeKubelet(path, pods_of(owners_of(0, uuids))) as kubelet:
        program.until(lambda: {"web-0-1"} in shown(program.get("/metrics")[1]).values())
        scraper = Scraper(program, uuids)
        with scraper.scraping():
            began_at = restart_often(kubelet, scraper, uuids)
    assert scraper.wrong == []
    generations = [scrape.generation for scrape in scraper.scrapes]
    assert generations == sorted(generations), "no scrape goes back to owners that were"
    assert generations[-1] == RESTARTS
    assert all(began_at[scrape.generation] <= scrape.answered_at for scrape in scraper.scrapes)
    program.must_end()


def restart_often(kubelet: FakeKubelet, scraper: Scraper, uuids: list[str]) -> list[float]:
    """Return when each generation of owners began."""
    began_at = [time.monotonic()]
    for generation in range(1, RESTARTS + 1):
        began_at.append(time.monotonic())
        kubelet.set_pods(pods_of(owners_of(generation, uuids)))
        kubelet.restart()
        if generation % LEFT_ALONE_EACH == 0:
            until(partial(scraper.shows, generation))
        time.sleep(0.02)
    return began_at


def test_the_program_ends_though_kubelet_and_the_api_server_hang(
    start: Start, tmp_path: Path, api: FakeApiServer
) -> None:
    path = tmp_path / "kubelet.sock"
    api.held = "list"
    with FakeKubelet(path) as kubelet:
        kubelet.set_fault(Hang())
        program = start(
            *("--mock", "-k", "--pod-resources-kubelet-socket", str(path)),
            *("--kubernetes-enable-pod-labels", "--kubernetes-enable-dra"),
            KUBECONFIG=str(api.kubeconfig),
            NO_PROXY="127.0.0.1",
        )
        until(lambda: bool(api.asked("list")))
        program.until(lambda: bool(program.names()))
        program.must_end()

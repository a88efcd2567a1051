"""Whether GPUs are read beside each other: NVML's calls and the exporter's collections, for one GPU and for more.

    OUT=folder python3 -m tests.device.parallel_proof [seconds a row]

First the bare calls of the default counters: of each GPU alone, then of all GPUs at the same moment, by a thread each
and by a process each. If NVML serves GPUs beside each other, all take as long as the slowest one; if it has a lock,
they take as long as their sum. Then the exporter, scraped each second, for one GPU, two and all, with two counters
files. It prints tables, and writes them into parallel.md in the folder OUT, else the current one. 3 minutes for two
GPUs. With MOCK set to a scenario it goes without a GPU.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import pynvml

from exporter.counters_source import PACKAGED
from exporter.mock import MockNvml, load_scenario
from tests.device import floor, upkeep

MOCK = os.environ.get("MOCK", "")
COUNTERS = ("default-counters.csv", "dcp-metrics-included.csv")
ROUNDS = 24
APART_S = 0.5
START_S = 8.0
"""From when a worker is started to its first round: NVML has to start meanwhile."""


class Round(NamedTuple):
    """One GPU's calls, one after the other: when they began and ended, and what each took, seconds."""

    began: float
    ended: float
    steps: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Way(NamedTuple):
    """Every GPU's rounds, by its index."""

    name: str
    rounds: Mapping[int, Sequence[Round]]

    def milliseconds(self, of_round: Callable[[Sequence[Round]], float]) -> float:
        """Return the median over the rounds of something of all GPUs' rounds."""
        return 1000 * median(map(of_round, zip(*self.rounds.values(), strict=True)))

    def step_ms(self, step: str) -> float:
        return 1000 * fmean(one.steps[step] for rounds in self.rounds.values() for one in rounds)


def slowest(rounds: Sequence[Round]) -> float:
    return max(one.seconds for one in rounds)


def together(rounds: Sequence[Round]) -> float:
    return sum(one.seconds for one in rounds)


def from_first_to_last(rounds: Sequence[Round]) -> float:
    return max(one.ended for one in rounds) - min(one.began for one in rounds)


def library() -> Any:
    """Return NVML, started."""
    nvml: Any = MockNvml(load_scenario(MOCK), time) if MOCK else pynvml
    nvml.nvmlInit()
    return nvml


def work(began: float, indices: Sequence[int]) -> None:
    """Print the rounds of some GPUs, each in a thread: what a worker process does."""
    nvml = library()

    def rounds(index: int) -> list[Round]:
        steps = floor.steps_of(nvml, index)
        return [one_round(steps, began + number * APART_S) for number in range(ROUNDS)]

    with ThreadPoolExecutor(len(indices)) as threads:
        print(json.dumps(dict(zip(indices, threads.map(rounds, indices), strict=True))))


def one_round(steps: Mapping[str, Callable[[], Any]], at: float) -> Round:
    time.sleep(max(0.0, at - time.time()))
    marks = [time.time()]
    for step in steps.values():
        step()
        marks.append(time.time())
    spent = (later - earlier for earlier, later in pairwise(marks))
    return Round(marks[0], marks[-1], dict(zip(steps, spent, strict=True)))


def at_once(*groups: Sequence[int]) -> dict[int, list[Round]]:
    """Return the rounds of GPUs that are read at the same moments, a process for each group."""
    began = time.time() + START_S
    command = [sys.executable, "-m", "tests.device.parallel_proof", "work", str(began)]
    workers = [subprocess.Popen([*command, *map(str, group)], stdout=subprocess.PIPE, text=True) for group in groups]
    answers = [json.loads(worker.communicate()[0]) for worker in workers]
    return {int(index): [Round(*one) for one in rounds] for answer in answers for index, rounds in answer.items()}


def ways(count: int) -> Iterator[Way]:
    alone: dict[int, list[Round]] = {}
    for index in range(count):
        alone |= at_once([index])
    yield Way("each alone, one after the other", alone)
    if count > 1:
        yield Way("all at once, a thread each", at_once(range(count)))
        yield Way("all at once, a process each", at_once(*([index] for index in range(count))))


def bare_tables(measured: Sequence[Way]) -> Iterator[str]:
    yield "| bare calls of the default counters | slowest GPU, ms | all GPUs together, ms | from first to last, ms |"
    yield "|---|---|---|---|"
    alone = measured[0]
    for way in measured:
        span = "" if way is alone else f"{way.milliseconds(from_first_to_last):.2f}"
        yield f"| {way.name} | {way.milliseconds(slowest):.2f} | {way.milliseconds(together):.2f} | {span} |"
    yield ""
    yield f"| call, ms of one GPU | {' | '.join(way.name for way in measured)} |"
    yield f"|---{'|---' * len(measured)}|"
    for step in next(iter(alone.rounds.values()))[0].steps:
        yield f"| {step} | {' | '.join(f'{way.step_ms(step):.3f}' for way in measured)} |"


@dataclass(frozen=True, slots=True)
class Run:
    """What the exporter did with some GPUs: pages of each second, its CPU and memory."""

    counters: str
    gpus: int
    first_page_s: float
    pages: Sequence[str]
    scrape_s: Sequence[float]
    seconds: float
    cpu_s: float
    rss_mib: float
    pss_mib: float

    def row(self) -> str:
        """Return a row of the table."""
        collections = [numbers(page, "gpu_exporter_collection_seconds") for page in self.pages]
        within = [numbers(page, "gpu_exporter_collection_nvml_seconds") for page in self.pages]
        asked = [sum(numbers(page, "gpu_exporter_nvml_seconds_total")) for page in (self.pages[0], self.pages[-1])]
        nvml_ms = 1000 * (asked[1] - asked[0]) / (len(self.pages) - 1) / self.gpus
        cells = (
            self.counters,
            self.gpus,
            f"{1000 * median(map(max, collections)):.2f}",
            f"{1000 * median(map(max, within)):.2f}",
            f"{1000 * median(map(sum, collections)):.2f}",
            f"{nvml_ms:.2f}",
            f"{100 * self.cpu_s / self.seconds:.3f}",
            f"{100 * self.cpu_s / self.seconds / self.gpus:.3f}",
            f"{self.rss_mib:.1f}",
            f"{self.pss_mib:.1f}",
            f"{1000 * median(self.scrape_s):.2f}",
            f"{len(self.pages[-1]) / 1024:.0f}",
            f"{self.first_page_s:.2f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


RUN_HEAD = (
    "counters",
    "GPUs",
    "collection, slowest GPU, ms",
    "of it in NVML",
    "collections of all GPUs, ms",
    "NVML in a second, ms a GPU",
    "CPU, % of a core",
    "a GPU",
    "RSS, MiB",
    "PSS, MiB",
    "scrape, ms",
    "page, KiB",
    "all GPUs on a page after, s",
)


def numbers(page: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)]


def run(counters: str, gpus: int, seconds: float) -> Run:
    """Let the exporter collect from some GPUs, each second, and scrape it as often."""
    devices = f"g:{','.join(map(str, range(gpus)))}"
    mock = ["--mock", MOCK] if MOCK else []
    flags = ["-a", upkeep.ADDRESS, "-f", str(PACKAGED / counters), "-d", devices, "-k=false", *mock]
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "exporter", *flags]) as process:
        try:
            upkeep.wait_for_page(process, gpus)
            first_page_s = time.monotonic() - started
            scrapes(4)
            before, began = upkeep.cpu_s(process.pid), time.monotonic()
            pages, scrape_s = scrapes(seconds)
            return Run(
                counters,
                gpus,
                first_page_s,
                pages,
                scrape_s,
                seconds=time.monotonic() - began,
                cpu_s=upkeep.cpu_s(process.pid) - before,
                rss_mib=upkeep.memory_mib(process.pid),
                pss_mib=upkeep.memory_mib(process.pid, "Pss"),
            )
        finally:
            process.terminate()


def scrapes(seconds: float) -> tuple[list[str], list[float]]:
    """Return pages, one a second, and what each scrape took."""
    began, pages, took = time.monotonic(), [], []
    for number in range(round(seconds)):
        time.sleep(max(0.0, began + number + 1 - time.monotonic()))
        asked = time.monotonic()
        pages.append(upkeep.scrape(()))
        took.append(time.monotonic() - asked)
    return pages, took


def report(seconds: float) -> Iterator[str]:
    nvml = library()
    count = nvml.nvmlDeviceGetCount()
    model = nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(0))
    yield f"{count} of {model}, driver {nvml.nvmlSystemGetDriverVersion()}"
    nvml.nvmlShutdown()
    yield ""
    yield from bare_tables(list(ways(count)))
    yield ""
    yield f"| {' | '.join(RUN_HEAD)} |"
    yield f"|{'---|' * len(RUN_HEAD)}"
    for counters in COUNTERS:
        for gpus in sorted({1, min(2, count), count}):
            yield run(counters, gpus, seconds).row()


def main() -> None:
    if sys.argv[1:2] == ["work"]:
        work(float(sys.argv[2]), [int(index) for index in sys.argv[3:]])
        return
    with Path(os.environ.get("OUT", "."), "parallel.md").open("w", encoding="utf-8") as file:
        for line in report(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0):
            print(line, flush=True)
            print(line, file=file, flush=True)


if __name__ == "__main__":
    main()

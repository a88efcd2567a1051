"""Known loads on a real GPU, and what busy seconds, GPM's seconds and the instant value make of them.

python3 -m tests.device.duty [seconds a load]; ends with code 1 if a quotient is further off than 1.5 points. It prints
tables, and writes all scrapes into duty.json in the folder OUT, else the current one. The loads need CuPy, in the
Python that TORCH_PYTHON names, else python3. All together: 10 loads, by default 9 minutes.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from tests.device import loads
from tests.device.pages import page_of

T = TypeVar("T")

ADDRESS = "127.0.0.1:9400"
LOADS = ((10, 0.1), (10, 1.0), (37, 0.7), (37, 2.0), (50, 0.1), (50, 0.7), (50, 1.0), (50, 2.0), (100, 1.0))
"""Percent of each period that a kernel runs, and the period in seconds."""

RESTARTED = (50, 1.0)
"""The load in the middle of which the exporter is started anew."""

SCRAPERS_S = (1, 5, 15, 30)
SETTLE_S = 2.0
TOLERANCE_POINTS = 1.5
NAMES = {
    "busy": "gpu_exporter_busy_seconds_total",
    "observed": "gpu_exporter_observed_seconds_total",
    "active": "gpu_exporter_graphics_active_seconds_total",
    "profiled": "gpu_exporter_profiling_observed_seconds_total",
    "taken": "gpu_exporter_accumulating_timestamp_seconds",
    "instant": "DCGM_FI_DEV_GPU_UTIL",
}

LOAD = r"""
import json, sys, time
import cupy
spin = cupy.RawKernel(r'''
extern "C" __global__ void spin(unsigned long long ns) {
  unsigned long long begin, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do { asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - begin < ns);
}''', "spin")
spin((1,), (1,), (cupy.uint64(1000),))
cupy.cuda.Device().synchronize()
print("ready", flush=True)
for line in sys.stdin:
    percent, period, seconds = map(float, line.split())
    begin, runs, queued = time.time() + 0.05, [], []
    for number in range(round(seconds / period)):
        start = begin + number * period
        if percent < 100:
            time.sleep(max(0.0, start - time.time() - 0.002))
            while time.time() < start:
                pass
        elif number > 1:
            queued[number - 2][1].synchronize()  # one runs and one waits: no pause between them
        first, last = cupy.cuda.Event(), cupy.cuda.Event()
        first.record()
        spin((1,), (1,), (cupy.uint64(round(percent / 100 * period * 1e9)),))
        last.record()
        queued.append((first, last))
        runs.append(time.time())
    cupy.cuda.Device().synchronize()
    lengths = [cupy.cuda.get_elapsed_time(first, last) / 1000 for first, last in queued]
    if percent == 100:
        runs = [runs[0] + sum(lengths[:number]) for number in range(len(lengths))]
    print(json.dumps([[at, at + length] for at, length in zip(runs, lengths)]), flush=True)
"""


class Pair(NamedTuple):
    """Two scrapes behind each other, between which the exporter was not started anew."""

    older: dict[str, float]
    newer: dict[str, float]

    def growth(self, name: str) -> float:
        return self.newer[name] - self.older[name]


class Scraper(Generic[T]):
    """Scrapes at a steady pace on a thread of its own."""

    def __init__(self, period_s: float, scrape: Callable[[], T | None]) -> None:
        self.scrapes: list[T] = []
        self._period_s = period_s
        self._scrape = scrape
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[T]:
        self._stopping.set()
        self._thread.join()
        return self.scrapes

    def _run(self) -> None:
        began = time.monotonic()
        for number in itertools.count():
            if self._stopping.wait(max(0.0, began + number * self._period_s - time.monotonic())):
                return
            found = self._scrape()
            if found is not None:
                self.scrapes.append(found)


def scrape() -> dict[str, float] | None:
    """Return what a page says of the first GPU, as `values_of`; nothing while the exporter is away."""
    at = time.time()
    page = page_of(ADDRESS)
    return values_of(page, at, 0) if page else None


def values_of(page: str, at: float, gpu: int) -> dict[str, float] | None:
    """Return a GPU's values by their keys in NAMES, and the time; nothing while one of them is missing."""
    labels = rf'\{{[^}}]*\bgpu="{gpu}"[^}}]*\}}'
    values = {key: re.search(rf"^{name}{labels} (\S+)$", page, re.MULTILINE) for key, name in NAMES.items()}
    if any(match is None for match in values.values()):
        return None
    return {"at": at, **{key: float(match[1]) for key, match in values.items() if match}}


def start_exporter(*flags: str) -> subprocess.Popen[bytes]:
    exporter = subprocess.Popen([sys.executable, "-m", "exporter", "-a", ADDRESS, *flags])
    deadline = time.monotonic() + 30
    while scrape() is None:
        assert exporter.poll() is None, "the exporter ended"
        assert time.monotonic() < deadline, "no page with busy seconds within 30 s"
        time.sleep(0.02)
    return exporter


def pairs(scrapes: Sequence[dict[str, float]]) -> Iterator[Pair]:
    """Yield the pairs that the query of docs/true-load.md answers."""
    for older, newer in itertools.pairwise(scrapes):
        pair = Pair(older, newer)
        if pair.growth("observed") > 0 and newer["observed"] > newer["at"] - older["at"]:
            yield pair


def percent_of(found: Sequence[Pair], part: str, whole: str) -> float:
    seconds = sum(pair.growth(whole) for pair in found)
    return 100 * sum(pair.growth(part) for pair in found) / seconds if seconds else float("nan")


def truth(found: Sequence[Pair], intervals: Sequence[tuple[float, float]]) -> float:
    """Return for what share a kernel ran between the snapshots that were scraped, percent."""
    busy_s = sum(
        max(0.0, min(end, pair.newer["taken"]) - max(begin, pair.older["taken"]))
        for pair in found
        for begin, end in intervals
    )
    seconds = sum(pair.growth("taken") for pair in found)
    return 100 * busy_s / seconds if seconds else float("nan")


def rows(
    name: str, scraped: dict[str, list[dict[str, float]]], intervals: Sequence[tuple[float, float]]
) -> Iterator[dict[str, Any]]:
    for scraper, scrapes in scraped.items():
        found = list(pairs(scrapes))
        single = [percent_of([pair], "busy", "observed") for pair in found]
        instants = [one["instant"] for one in scrapes] or [float("nan")]
        yield {
            "load": name,
            "scraper": scraper,
            "pairs": len(found),
            "true": truth(found, intervals),
            "ring": percent_of(found, "busy", "observed"),
            "gpm": percent_of(found, "active", "profiled"),
            "ring_low": min(single, default=float("nan")),
            "ring_high": max(single, default=float("nan")),
            "instant_low": min(instants),
            "instant_high": max(instants),
            "instant_mean": sum(instants) / len(instants),
        }


def measure(
    load: loads.Load, duty: tuple[float, float], seconds: float, exporter: list[subprocess.Popen[bytes]]
) -> Any:
    """Return all scrapes of one load and when its kernels ran; with a restart if `exporter` is to have one."""
    load.begin(*duty, seconds)
    time.sleep(SETTLE_S)
    scrapers = {f"{period_s} s": Scraper(period_s, scrape) for period_s in SCRAPERS_S}
    left_s = seconds - SETTLE_S - 0.7
    if exporter:
        time.sleep(left_s / 2)
        exporter[0].send_signal(signal.SIGTERM)
        exporter[0].wait(5)
        time.sleep(2)
        exporter[0] = start_exporter()
        left_s -= left_s / 2 + 3
    time.sleep(max(0.0, left_s))
    scraped = {name: scraper.stop() for name, scraper in scrapers.items()}
    scraped["5 s, 2 of 3 lost"] = scraped["5 s"][::3]
    return {"scrapes": scraped, "intervals": load.result()}


def table(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| duty, period | scrapes each | pairs | true | ring | off | GPM | single pairs | instant: mean, all |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in results:
        single, instant = f"{row['ring_low']:.1f} to {row['ring_high']:.1f}", f"{row['instant_mean']:.1f}"
        spread = f"{row['instant_low']:.0f} to {row['instant_high']:.0f}"
        off = f"{row['ring'] - row['true']:+.2f}"
        numbers = f"{row['pairs']} | {row['true']:.2f} | {row['ring']:.2f} | {off} | {row['gpm']:.2f}"
        yield f"| {row['load']} | {row['scraper']} | {numbers} | {single} | {instant}, {spread} |"


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 50.0
    load, exporter = loads.Load(LOAD), [start_exporter()]
    results: list[dict[str, Any]] = []
    measured: dict[str, Any] = {}
    try:
        for number, (percent, period_s) in enumerate((*LOADS, RESTARTED)):
            is_restarted = number == len(LOADS)
            name = f"{percent} %, {period_s} s" + (", exporter restarted" if is_restarted else "")
            measured[name] = measure(load, (percent, period_s), seconds, exporter if is_restarted else [])
            results += rows(name, measured[name]["scrapes"], measured[name]["intervals"])
            print(*table(results[-len(SCRAPERS_S) - 1 :]), sep="\n", flush=True)
    finally:
        exporter[0].terminate()
        load.stop()
        out = Path(os.environ.get("OUT", "."))
        (out / "duty.json").write_text(json.dumps({"rows": results, "loads": measured}))
    wrong = [row for row in results if row["pairs"] and abs(row["ring"] - row["true"]) > TOLERANCE_POINTS]
    print(*table(results), f"{len(wrong)} of {len(results)} are off by more than {TOLERANCE_POINTS} points", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

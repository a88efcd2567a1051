"""What the exporter itself costs on a real GPU, by who scrapes it: CPU and memory, beside the bare NVML calls.

python3 -m tests.device.upkeep [seconds a row] [exporter's flags …]; prints a table. By default 55 s a row, less than
8 minutes in all. Figures are of one GPU; -d g:0 leaves the others out.
"""

import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pynvml

from tests.device import floor

ADDRESS = "127.0.0.1:9400"
LOAD = ("DCGM_FI_DEV_GPU_UTIL", "gpu_exporter_busy_seconds_total", "gpu_exporter_observed_seconds_total")
MIG_LOAD = (*LOAD, "gpu_exporter_graphics_active_seconds_total", "gpu_exporter_profiling_observed_seconds_total")
EVERYTHING: tuple[str, ...] = ()
LEARNT_AFTER = 2.1
"""After how many intervals a rhythm is known, from the first scrape on."""

RINGS = ("ring", "memory ring")
ACCUMULATING = ("energy", "gpm", "pcie replay", "nvlink", *RINGS)


@dataclass(frozen=True, slots=True)
class Row:
    """Who scrapes what, each so many seconds, and how often each bare call is needed for it in a second."""

    name: str
    scrapers: tuple[tuple[float, tuple[str, ...]], ...]
    uses: Callable[[str], float]
    flags: tuple[str, ...] = ()


def each(scrape_s: float, collection_s: float = 1.0, **faster: float) -> Callable[[str], float]:
    """Return how often a call is needed; rings each 10 s at least, on the way from one scrape to the next."""

    def uses(name: str) -> float:
        if name not in ACCUMULATING:
            return 1 / collection_s
        parts = -(-scrape_s // 10) if name in RINGS else 1
        return max(parts / scrape_s, faster.get(name, 0))

    return uses


ROWS = (
    Row("each 1 s", ((1, EVERYTHING),), each(1)),
    Row("each 15 s", ((15, EVERYTHING),), each(15)),
    Row("each 15 s, the load each 2 s", ((15, EVERYTHING), (2, LOAD)), each(15, ring=0.5)),
    Row("each 15 s, the load and MIG's each 2 s", ((15, EVERYTHING), (2, MIG_LOAD)), each(15, ring=0.5, gpm=0.5)),
    Row("each 15 s, -c 30000", ((15, EVERYTHING),), each(30, 30.0), ("-c", "30000")),
)


def scrape(names: Sequence[str]) -> str:
    query = f"?{urlencode([('name[]', name) for name in names])}" if names else ""
    with urllib.request.urlopen(f"http://{ADDRESS}/metrics{query}", timeout=5) as answer:
        page: str = answer.read().decode()
    return page


def scrape_each(interval_s: float, names: Sequence[str], stopping: threading.Event) -> None:
    began, number = time.monotonic(), 0
    while not stopping.wait(max(0.0, began + number * interval_s - time.monotonic())):
        scrape(names)
        number += 1


def cpu_s(pid: int) -> float:
    """Return what a process has taken of all CPUs, by the kernel's nanoseconds, ended threads included."""
    return time.clock_gettime(~pid << 3 | 2)


def memory_mib(pid: int, kind: str = "Rss") -> float:
    """Return what of a process's memory is resident; with `Pss`, shared pages by its own part of them."""
    match = re.search(rf"^{kind}:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) / 1024


def wait_for_page(process: "subprocess.Popen[bytes]", at_least: int = 1) -> int:
    """Return how many GPUs are sampled, once so many are."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the exporter ended"
        with suppress(OSError):
            gpus = len(re.findall(r"^gpu_exporter_gpu_up\{.*\} 1\.0$", scrape(()), re.MULTILINE))
            if gpus >= at_least:
                return gpus
        time.sleep(0.1)
    raise TimeoutError("no GPU is sampled within 30 s")


def measure(row: Row, seconds: float, flags: Sequence[str]) -> tuple[float, float, int]:
    """Return seconds of CPU in a second, MiB that are resident, and the number of GPUs."""
    stopping = threading.Event()
    with subprocess.Popen([sys.executable, "-m", "exporter", "-a", ADDRESS, *row.flags, *flags]) as process:
        try:
            gpus = wait_for_page(process)
            threads = [threading.Thread(target=scrape_each, args=(*one, stopping)) for one in row.scrapers]
            for thread in threads:
                thread.start()
            time.sleep(2 + LEARNT_AFTER * max(interval_s for interval_s, _ in row.scrapers))
            before, began = cpu_s(process.pid), time.monotonic()
            time.sleep(seconds)
            return (cpu_s(process.pid) - before) / (time.monotonic() - began), memory_mib(process.pid), gpus
        finally:
            stopping.set()
            process.terminate()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 55.0
    bare: dict[str, float] = {}
    try:
        bare = floor.measure(20)
    except pynvml.NVMLError as error:  # what the exporter itself takes with a mock can still be seen
        print(f"no bare calls: {error}")
    for name, taken_s in bare.items():
        print(f"{name}: {taken_s * 1e3:.3f} ms of CPU a use", flush=True)
    print(
        "| scraped | bare calls, % of a core a GPU | exporter | times the calls | resident MiB |\n|---|---|---|---|---|"
    )
    for row in ROWS:
        taken, resident_mib, gpus = measure(row, seconds, sys.argv[2:])
        calls = sum(taken_s * row.uses(name) for name, taken_s in bare.items())
        times = f"{taken / gpus / calls:.2f}" if calls else ""
        print(
            f"| {row.name} | {100 * calls:.3f} | {100 * taken / gpus:.3f} | {times} | {resident_mib:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()

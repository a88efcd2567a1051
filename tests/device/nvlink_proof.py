"""NVLink, PCIe and P2P of two GPUs: the exporter beside NVML's own counters, under copies of a known rate.

python3 -m tests.device.nvlink_proof [seconds a load]; ends with code 1 if something is not as it should be. It prints
the tables of docs/nvlink.md, and writes pages and readings into nvlink-proof.json in the folder OUT, else the current
one. By default less than 4 minutes. The copies need CuPy, in the Python that TORCH_PYTHON names, else python3.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pynvml

from exporter.catalogue import ANSWERED
from tests.device import link_counters, nvlink_tables
from tests.device.conftest import command
from tests.device.link_counters import WAYS
from tests.device.loads import Load
from tests.device.nvlink_tables import HEALTH, Measured, Page, Phase, Verdicts
from tests.device.pages import fetch
from tests.waiting import until

ADDRESS = "127.0.0.1:9400"
SETTLE_S = 2.0
SCRAPE_S = 5.0
READ_TWICE_S = 125.0
"""After so long, what is read once a minute has been read twice."""

COPIES = """
import json, sys, time
import cupy
from cupy.cuda import runtime
SIZE = 2**30
sent, received, streams, host = {}, {}, {}, {}
for gpu in (0, 1):
    with cupy.cuda.Device(gpu):
        runtime.deviceEnablePeerAccess(1 - gpu)
        sent[gpu], received[gpu] = cupy.zeros(SIZE, cupy.uint8), cupy.zeros(SIZE, cupy.uint8)
        streams[gpu] = cupy.cuda.Stream(non_blocking=True)
        host[gpu] = cupy.cuda.alloc_pinned_memory(SIZE)
def to_peer(gpu):
    peer = 1 - gpu
    runtime.memcpyPeerAsync(received[peer].data.ptr, peer, sent[gpu].data.ptr, gpu, SIZE, streams[gpu].ptr)
def from_host(gpu):
    runtime.memcpyAsync(received[gpu].data.ptr, host[gpu].ptr, SIZE, runtime.memcpyHostToDevice, streams[gpu].ptr)
def to_host(gpu):
    runtime.memcpyAsync(host[gpu].ptr, sent[gpu].data.ptr, SIZE, runtime.memcpyDeviceToHost, streams[gpu].ptr)
COPY = {"one-way": (to_peer, (0,)), "both-ways": (to_peer, (0, 1)), "from-host": (from_host, (0, 1)),
        "to-host": (to_host, (0, 1))}
print("ready", flush=True)
for line in sys.stdin:
    kind, seconds = line.split()
    copy, gpus = COPY.get(kind, (None, ()))
    log, times = [[time.time(), 0]], 8 if copy is to_peer else 1
    until = log[0][0] + float(seconds)
    while time.time() < until:
        for gpu in gpus:
            with cupy.cuda.Device(gpu):
                for _ in range(times):
                    copy(gpu)
        for gpu in gpus:
            streams[gpu].synchronize()
        if not gpus:
            time.sleep(0.1)
        log.append([time.time(), log[-1][1] + (times * SIZE if gpus else 0)])
    print(json.dumps(log), flush=True)
"""


PHASES = (
    Phase("idle", "idle"),
    Phase("GPU 0 to GPU 1", "one-way", nvlink=frozenset({(0, "TX"), (1, "RX")})),
    Phase("both ways", "both-ways", nvlink=frozenset((gpu, way) for gpu in (0, 1) for way in WAYS)),
    Phase("host to GPUs", "from-host", pcie=frozenset({(0, "RX"), (1, "RX")})),
    Phase("GPUs to host", "to-host", pcie=frozenset({(0, "TX"), (1, "TX")})),
)


def measure(phase: Phase, seconds: float, load: Load, handles: Sequence[Any]) -> Measured:
    """Play a load; NVML is read while it is steady, and the page is of its last second."""
    load.begin(phase.kind, seconds)
    began = time.monotonic()
    time.sleep(SETTLE_S)
    fetch(ADDRESS)
    readings = link_counters.begin(handles)
    for number in range(1, int((seconds - SETTLE_S) // SCRAPE_S) + 1):
        time.sleep(max(0.0, began + SETTLE_S + number * SCRAPE_S - time.monotonic()))
        page = Page(fetch(ADDRESS))
    rates = link_counters.end(readings)
    return Measured(phase, load.result(), page, rates)


def counters() -> str:
    """Return a counters file of all that is about NVLink, PCIe and P2P."""
    names = [name for name in sorted(ANSWERED) if re.search("NVLINK|PCIE|P2P", name)]
    return "".join(f"{name}, gauge, Help.\n" for name in (*names, "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", HEALTH))


def prove(seconds: float, handles: Sequence[Any], load: Load) -> tuple[Sequence[Measured], Verdicts]:
    """Play all loads and print what was seen."""
    verdicts, before, began = Verdicts(), nvlink_tables.read_errors(handles), time.monotonic()
    seen = [measure(phase, seconds, load, handles) for phase in PHASES]
    time.sleep(max(0.0, READ_TWICE_S - (time.monotonic() - began)))
    page, after = Page(fetch(ADDRESS)), nvlink_tables.read_errors(handles)
    tables: tuple[tuple[str, Callable[[], Iterator[str]]], ...] = (
        ("NVML", lambda: nvlink_tables.nvml_table(seen, verdicts)),
        ("Fields", lambda: nvlink_tables.field_table(seen, verdicts)),
        ("PCIe", lambda: nvlink_tables.pcie_table(seen, verdicts)),
        ("Links", lambda: nvlink_tables.link_table(page, handles, verdicts)),
        ("Errors", lambda: nvlink_tables.error_table(page, before, after, verdicts)),
        ("P2P", lambda: nvlink_tables.p2p_table(page, handles, verdicts)),
        ("Health", lambda: nvlink_tables.health_line(page, verdicts)),
    )
    for title, table in tables:
        print(f"\n### {title}", *table(), sep="\n", flush=True)
    return seen, verdicts


def main() -> int:
    """Run the proof; return 1 if something is not as it should be."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 23.0
    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    load = Load(COPIES)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(counters())
        file.flush()
        with subprocess.Popen(command(ADDRESS, "-f", file.name)) as exporter:
            try:
                until(is_ready, what="a page with rates")
                seen, verdicts = prove(seconds, handles, load)
            finally:
                exporter.terminate()
                load.stop()
    raw = {one.phase.name: {"log": one.log, "page": one.page.text, "rates": one.rates} for one in seen}
    Path(os.environ.get("OUT", "."), "nvlink-proof.json").write_text(json.dumps(raw), encoding="utf-8")
    print(f"\n{len(verdicts.wrong)} of {verdicts.count} checks failed", *verdicts.wrong, sep="\n")
    return int(bool(verdicts.wrong))


def is_ready() -> bool:
    """Say whether the exporter has what it reads twice before it tells."""
    try:
        return "\nDCGM_FI_PROF_NVLINK_TX_BYTES{" in fetch(ADDRESS)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())

"""A recording of real GPUs, and its replay beside what the exporter printed meanwhile, field for field.

    OUT=folder python -m tests.device.replay_proof [seconds [GPUs]]

Records the first GPU for a minute, idle, under a matrix product of PyTorch (in the Python that TORCH_PYTHON names, else
python3), and idle again, while the exporter runs with every field and is scraped each second. Of two GPUs or more it
records each; then GPU 0 copies to GPU 1, both copy to each other, and GPU 0 multiplies. Then the mock replays the
recordings to a sampler that collects at the moments of the scrapes, and each value is compared. It writes the
recordings (`h200-sxm.jsonl.gz`, or `h200-pair-0.jsonl.gz` and so on), `replay.csv` (each field: live and replayed, and
how far off at the worst) and prints a summary; ends with code 1 where a field is not the same. With MOCK set to a
scenario of steady loads it goes without a GPU.
"""

import csv
import os
import re
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.catalogue import ANSWERED, CATALOGUE
from exporter.catalogue.reading import Tracked, Tracker
from exporter.fields import FIELDS
from exporter.mock import MockNvml
from exporter.mock.recordings.recording_file import read_recording
from exporter.model import Reason, Value
from exporter.nvml.calls import Calls
from exporter.nvml.entities import find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices
from tests.device import loads
from tests.device.pages import page_of
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario

OUT = Path(os.environ.get("OUT", "."))
MOCK = ["--mock", os.environ["MOCK"]] if os.environ.get("MOCK") else []
ADDRESS = "127.0.0.1:9478"
IDLE_S = 15
"""Before the load and after it."""

LOAD = """
import contextlib, sys, time, torch
seconds, gpus = float(sys.argv[1]), int(sys.argv[2])
a = torch.randn(8192, 8192, device="cuda:0", dtype=torch.bfloat16)
sides = ["cuda:0", "cuda:1"][:gpus]
sent, received = ([torch.empty(2**28, device=side) for side in sides] for _ in range(2))
# each direction has streams of its own: PyTorch lets a copy wait for the streams of both GPUs
streams = [[torch.cuda.Stream(side) for side in sides] for _ in sides]

def copy(way):
    with contextlib.ExitStack() as stack:
        for stream in streams[way]:
            stack.enter_context(torch.cuda.stream(stream))
        received[1 - way].copy_(sent[way], non_blocking=True)

def both():
    copy(0)
    copy(1)

phases = [lambda: a @ a] if gpus == 1 else [lambda: copy(0), both, lambda: a @ a]
for step in phases:
    until = time.time() + seconds / len(phases)
    while time.time() < until:
        for _ in range(20):
            step()
        for side in sides:
            torch.cuda.synchronize(side)
"""

Values = dict[tuple[str, str], float]
"""One GPU's numbers on a page, by field and link."""

SERIES = re.compile(r"^(DCGM_\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)
LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PATHS = "DCGM_FI_DEV_NVLINK_P2P_STATUS"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"

NOT_REPLAYED = {
    "DCGM_FI_DEV_XID_ERROR": "events are not recorded",
    "DCGM_EXP_": "counted by the exporter since its own start",
    "DCGM_FI_DEV_GPU_MINOR_NUMBER": "the replay's own",
    "DCGM_FI_DEV_NVML_INDEX": "the replay's own",
    "DCGM_FI_SYSTEM_GPU_QUANTITY": "the replay's own",
    PATHS: "about two GPUs",
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS": "always 0 in the mock",
}
OF_A_MOMENT = {"DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "DCGM_FI_DEV_PCIE_RX_THROUGHPUT"}
"""Counted over 20 ms each ten seconds: another moment, another number."""

PERIODS = {field.name: reading.period for reading in CATALOGUE for field in reading.fields}
RATES = {
    field.name
    for reading in CATALOGUE
    if isinstance(reading, Tracked) and reading.tracker is Tracker.RATES
    for field in reading.fields
}
OF_TIMES = 0.001
"""How far off a steady rate may be: exporter and recorder note times that are not quite those of their readings."""

NEAR_S = 2.5
TOLERANCE = 0.05
FLOAT = 1e-9
MOST_OFF = 0.05
"""A value must lie within what the replay says near its time and in its period, widened by a share of its own range;
so many may not.
"""


class Scrape(NamedTuple):
    """When a page was made, in seconds of the recording, and its numbers by field and link."""

    t_s: float
    values: Mapping[tuple[str, str], float]


class Row(NamedTuple):
    """How one field was replayed."""

    gpu: int
    field: str
    link: str
    live: str
    replayed: str
    is_constant: bool
    off: int
    of: int


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    gpus = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    recorded = [OUT / (f"h200-pair-{index}.jsonl.gz" if gpus > 1 else "h200-sxm.jsonl.gz") for index in range(gpus)]
    pages = measure(seconds, gpus)
    rows: list[Row] = []
    missing: list[tuple[int, tuple[str, str]]] = []
    for index, path in enumerate(recorded):
        recording = read_recording(path)
        own = [page[index] for page in pages]
        live = [scrape for scrape in aligned(own, recording.series("energy_mj")) if scrape.t_s <= seconds]
        replayed = replay(recorded, index, [scrape.t_s for scrape in live])
        rows += compared(index, live, replayed, ignored(gpus))
        sides = ({key for one in found for key in one.values} for found in (live, replayed))
        one_sided = sorted(set.symmetric_difference(*sides))
        missing += [(index, key) for key in one_sided if not key[0].startswith(ignored(gpus))]
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, {len(recording.frames)} frames, {recording.model}")
        print(f"GPU {index}: {len(live)} scrapes")
    write(rows)
    return summary(rows, missing)


def summary(rows: Sequence[Row], missing: Sequence[tuple[int, tuple[str, str]]]) -> int:
    wrong = [row for row in rows if row.off > MOST_OFF * row.of]
    constant = [row for row in rows if row.is_constant]
    print(f"{len(rows)} series, {sum(row.of for row in rows)} values")
    print(f"{len(constant)} series never changed, {sum(row.off == 0 for row in constant)} of them equal")
    print(f"{len(rows) - len(constant)} changed, {sum(row.off for row in rows)} of their values off")
    print(f"on one side only: {missing or 'none'}")
    for row in wrong:
        where = f"GPU {row.gpu} {row.field} {row.link}"
        print(f"WRONG {where}: live {row.live}, replayed {row.replayed}, {row.off} of {row.of} off")
    return 1 if wrong or missing else 0


def ignored(gpus: int) -> tuple[str, ...]:
    """Return what the names begin with of fields that are not compared; paths are those of all GPUs or of none."""
    return tuple(name for name in NOT_REPLAYED if gpus == 1 or name != PATHS)


def measure(seconds: float, gpus: int) -> list[dict[int, Values]]:
    """Record and scrape at the same time; returns the pages."""
    counters = OUT / "all.csv"
    counters.write_text("".join(f"{name}, {_kind(name)}, Help.\n" for name in sorted(ANSWERED)), encoding="utf-8")
    program = [sys.executable, "-m", "exporter"]
    devices = f"g:{','.join(map(str, range(gpus)))}"
    out = OUT / ("h200-pair.jsonl.gz" if gpus > 1 else "h200-sxm.jsonl.gz")
    log = (OUT / "log.txt").open("w", encoding="utf-8")
    exporter = subprocess.Popen([*program, *MOCK, "-a", ADDRESS, "-f", str(counters), "-k=false"], stderr=log)
    recorder, load = None, None
    pages = []
    try:
        while not scrape(gpus):
            assert exporter.poll() is None, "the exporter ended"
            time.sleep(0.2)
        recorder = subprocess.Popen(
            [*program, "record", *MOCK, "-d", devices, "--out", str(out), "--for", f"{seconds:g}s"]
        )
        began = time.monotonic()
        while recorder.poll() is None:
            if load is None and not MOCK and time.monotonic() - began > IDLE_S:
                load = start_load(seconds - 2 * IDLE_S, gpus)
            pages.append(scrape(gpus))
            time.sleep(1)
        assert recorder.returncode == 0, "nothing was recorded"
    finally:
        for process in (exporter, recorder, load):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(10)
    return [page for page in pages if page]


def _kind(name: str) -> str:
    return "label" if FIELDS[name].value_type == "string" else "gauge"


def start_load(seconds: float, gpus: int) -> subprocess.Popen[bytes]:
    command = [loads.PYTHON, "-c", LOAD, str(seconds), str(gpus)]
    return subprocess.Popen(command, env=loads.environment())


def scrape(gpus: int) -> dict[int, Values]:
    """Return a page's numbers by GPU; none while one of them has no energy yet."""
    page = page_of(ADDRESS)
    if not page:
        return {}
    values: dict[int, Values] = {index: {} for index in range(gpus)}
    for name, text, value in SERIES.findall(page):
        labels = dict(LABELS.findall(text))
        for index, own in values.items():
            if labels.get("gpu", str(index)) == str(index):
                own[name, labels.get("nvlink", "")] = float(value)
    return values if all((ENERGY, "") in own for own in values.values()) else {}


def aligned(pages: Sequence[Values], energy: tuple[Sequence[float], Sequence[float]]) -> Iterator[Scrape]:
    """Yield the pages with their times by the recording's clock: the driver's energy counter tells them."""
    times, totals = energy
    for page in pages:
        at = bisect_left(totals, page[ENERGY, ""])
        if 0 < at < len(times) and totals[at] > totals[at - 1]:
            share = (page[ENERGY, ""] - totals[at - 1]) / (totals[at] - totals[at - 1])
            yield Scrape(times[at - 1] + share * (times[at] - times[at - 1]) - times[0], page)


def replay(recorded: Sequence[Path], index: int, times: Sequence[float]) -> list[Scrape]:
    """Return what a sampler of one of the replayed GPUs says at some times."""
    clock = FakeClock()
    gpus = ", ".join(f"{{recording: {path.resolve()}}}" for path in recorded)
    nvml = MockNvml(scenario(f"gpus: [{gpus}]"), clock)
    nvml.nvmlInit()
    layout = find_layout(Calls(nvml), index)
    assert not isinstance(layout, Reason)
    (device,) = select({index: layout}, parse_devices("f")).values()
    sampler = Sampler(device, Calls(nvml), Pacing(clock, 1.0), lambda _: None)
    sampler.follow(plan(ANSWERED, CATALOGUE))
    began = clock.now
    found = []
    for t_s in (0.0, 0.15, *times):
        clock.advance(max(began + t_s - clock.now, 0.0))
        samples = sampler.collect().samples
        values = {(s.field, _link(s.entity.link)): float(s.value) for s in samples if _is_number(s.field, s.value)}
        found.append(Scrape(t_s, values))
    return found[2:]


def _link(link: int | None) -> str:
    return "" if link is None else str(link)


def _is_number(field: str, value: Value) -> bool:
    return field in ANSWERED and not isinstance(value, str)


def compared(gpu: int, live: Sequence[Scrape], replayed: Sequence[Scrape], leave_out: tuple[str, ...]) -> Iterator[Row]:
    """Yield a row for each series that both have."""
    keys = live[-1].values.keys() & replayed[-1].values.keys()
    for key in sorted(key for key in keys if not key[0].startswith((*leave_out, *OF_A_MOMENT))):
        near_s = NEAR_S + PERIODS[key[0]]
        ours = [(one.t_s, one.values[key]) for one in live if key in one.values]
        theirs = [(one.t_s, one.values[key]) for one in replayed if key in one.values]
        low, high = min(value for _, value in ours), max(value for _, value in ours)
        slack = TOLERANCE * (high - low) + abs(high) * (OF_TIMES if key[0] in RATES else FLOAT)
        off = sum(not _lies_within(value, [v for t, v in theirs if abs(t - at) <= near_s], slack) for at, value in ours)
        span = f"{min(v for _, v in theirs):g} to {max(v for _, v in theirs):g}"
        yield Row(gpu, *key, f"{low:g} to {high:g}", span, low == high, off, len(ours))


def _lies_within(value: float, near: Sequence[float], slack: float) -> bool:
    return bool(near) and min(near) - slack <= value <= max(near) + slack


def write(rows: Sequence[Row]) -> None:
    with (OUT / "replay.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("gpu", "field", "link", "live", "replayed", "values off", "of"))
        writer.writerows((row.gpu, row.field, row.link, row.live, row.replayed, row.off, row.of) for row in rows)


if __name__ == "__main__":
    sys.exit(main())

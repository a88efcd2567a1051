"""Every default counter on a real GPU, idle and under a matrix product, against NVML and nvidia-smi beside it."""

import csv
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.device.conftest import Exporter, command
from tests.device.nvml_log import PROFILING, TRUTHS, NvmlLog
from tests.device.pages import fetch
from tests.waiting import until

LINE = re.compile(r"^(\w+)\{[^}]*\} (\S+)$", re.MULTILINE)


def values(page: str) -> dict[str, float]:
    return {name: float(value) for name, value in LINE.findall(page)}


class Row:
    """One line of the comparison."""

    def __init__(self, counter: str, value: float, seen: list[float], tolerance: float, why: str) -> None:
        self.counter, self.value, self.why = counter, value, why
        self.low, self.high = min(seen) - tolerance, max(seen) + tolerance
        self.agrees = self.low <= value <= self.high

    def markdown(self) -> str:
        return f"| {self.counter} | {self.value:.6g} | {self.low:.6g} | {self.high:.6g} | {self.why} |"


def rows(page: str, log: NvmlLog) -> Iterator[Row]:
    found = values(page)
    taken = found["gpu_exporter_snapshot_timestamp_seconds"]
    for truth in TRUTHS:
        seen = log.around(truth.counter, taken, 0.5, 0.5)
        assert seen, truth.counter
        tolerance = truth.tolerance + truth.relative * max(seen)
        yield Row(truth.counter, found[truth.counter], seen, tolerance, truth.why)
    for counter, (_, _, absolute, relative) in PROFILING.items():
        seen = log.around(counter, taken, 1.5, 1.5)
        assert seen, counter
        yield Row(counter, found[counter], seen, absolute + relative * max(seen), "another second of the same load")


def compare(name: str, exporter: Exporter, log: NvmlLog, report: Path) -> None:
    time.sleep(2)
    page = exporter.scrape()
    smi = nvidia_smi()
    time.sleep(2)
    (report / f"h100-{name}.metrics").write_text(page)
    found = list(rows(page, log))
    table = ["| counter | exporter | NVML from | to | tolerance, because |", "|---|---|---|---|---|"]
    (report / f"h100-{name}.md").write_text("\n".join([*table, *(row.markdown() for row in found)]) + "\n")
    assert [row.markdown() for row in found if not row.agrees] == []
    assert_sound(page)
    assert_like_nvidia_smi(values(page), smi)


def assert_sound(page: str) -> None:
    for name, value in values(page).items():
        assert math.isfinite(value), name
        assert value >= 0, name
    assert list(parse_text(page))


def nvidia_smi() -> dict[str, float]:
    names = "temperature.gpu,power.draw,clocks.sm,clocks.mem,memory.used,memory.free,memory.reserved"
    query = ["nvidia-smi", f"--query-gpu={names}", "--format=csv,noheader,nounits", "-i", "0"]
    answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    return dict(zip(names.split(","), map(float, next(csv.reader([answer]))), strict=True))


def assert_like_nvidia_smi(found: dict[str, float], smi: dict[str, float]) -> None:
    assert found["DCGM_FI_DEV_GPU_TEMP"] == pytest.approx(smi["temperature.gpu"], abs=2)
    assert found["DCGM_FI_DEV_POWER_USAGE"] == pytest.approx(smi["power.draw"], rel=0.05)
    assert found["DCGM_FI_DEV_SM_CLOCK"] == pytest.approx(smi["clocks.sm"], rel=0.05)
    assert found["DCGM_FI_DEV_MEM_CLOCK"] == smi["clocks.mem"]
    # nvidia-smi rounds up where DCGM rounds down
    assert found["DCGM_FI_DEV_FB_USED"] == pytest.approx(smi["memory.used"], abs=1)
    assert found["DCGM_FI_DEV_FB_FREE"] == pytest.approx(smi["memory.free"], abs=1)
    assert found["DCGM_FI_DEV_FB_RESERVED"] == pytest.approx(smi["memory.reserved"], abs=1)


def test_idle_values_are_what_nvml_says(exporter: Exporter, nvml_log: NvmlLog, report: Path) -> None:
    compare("idle", exporter, nvml_log, report)


@pytest.mark.usefixtures("matrix_product")
def test_busy_values_are_what_nvml_says(exporter: Exporter, nvml_log: NvmlLog, report: Path) -> None:
    compare("busy", exporter, nvml_log, report)
    found = values(exporter.scrape())
    assert found["DCGM_FI_DEV_GPU_UTIL"] >= 90
    assert found["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] > 0.5
    assert found["DCGM_FI_DEV_POWER_USAGE"] > 300


def test_openmetrics_of_a_real_gpu_parses(exporter: Exporter) -> None:
    page = exporter.scrape("application/openmetrics-text;version=1.0.0")
    assert page.endswith("# EOF\n")
    assert list(parse_openmetrics(page))


def test_both_generations_of_names_agree(tmp_path: Path) -> None:
    package = Path(__file__).parents[2] / "exporter" / "counter_files"
    counters = tmp_path / "both.csv"
    files = ("default-counters.csv", "dcgm-4.9-counters.csv")
    counters.write_text("\n".join((package / name).read_text() for name in files))
    with subprocess.Popen(command("127.0.0.1:9401", "-f", str(counters))) as process:
        try:
            time.sleep(3)
            page = fetch("127.0.0.1:9401")
        finally:
            process.terminate()
    found = values(page)
    assert found["DCGM_FI_DEV_SM_CLOCK_HERTZ"] == found["DCGM_FI_DEV_SM_CLOCK"] * 1e6
    assert found["DCGM_FI_DEV_MEMORY_CLOCK_HERTZ"] == found["DCGM_FI_DEV_MEM_CLOCK"] * 1e6
    assert found["DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL"] == found["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] // 1000
    assert found["DCGM_FI_DEV_FB_FREE_BYTES"] // 2**20 == found["DCGM_FI_DEV_FB_FREE"]
    assert found["DCGM_FI_DEV_FB_RESERVED_BYTES"] // 2**20 == found["DCGM_FI_DEV_FB_RESERVED"]
    assert found["DCGM_FI_DEV_GPU_UTIL_RATIO"] == found["DCGM_FI_DEV_GPU_UTIL"] / 100


def test_an_unprivileged_user_reads_the_same_counters(exporter: Exporter) -> None:
    nobody = 65534
    with subprocess.Popen(command("127.0.0.1:9402"), user=nobody, group=nobody, cwd="/") as process:
        try:
            time.sleep(3)
            page = fetch("127.0.0.1:9402")
        finally:
            process.terminate()
    assert values(page).keys() - {"process_open_fds"} == values(exporter.scrape()).keys() - {"process_open_fds"}


STRAY_WRITE = """
import cupy
write = cupy.RawKernel('extern "C" __global__ void write(int *p) { *p = 1; }', 'write')
write((1,), (1,), (cupy.uint64(0x1000),))
cupy.cuda.Device().synchronize()
"""


def test_an_xid_is_seen(exporter: Exporter) -> None:
    """A kernel that writes where no memory is makes the driver end its process with Xid 31."""
    assert values(exporter.scrape())["DCGM_FI_DEV_XID_ERRORS"] == 0
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(["python3", "-c", STRAY_WRITE], env=environment, capture_output=True, check=False)
    until(lambda: values(exporter.scrape())["DCGM_FI_DEV_XID_ERRORS"] == 31, what="Xid 31")
    assert 'err_code="31",err_msg="GPU memory page fault"' in exporter.scrape()


def test_sigterm_ends_the_exporter_at_once() -> None:
    with subprocess.Popen(command("127.0.0.1:9403")) as process:
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 0

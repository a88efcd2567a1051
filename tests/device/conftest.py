"""The real exporter on the real GPU, and NVML read beside it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pynvml
import pytest

from tests.device.nvml_log import NvmlLog
from tests.device.pages import fetch

ADDRESS = "127.0.0.1:9400"

LOAD = """
import sys, time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
b = torch.randn_like(a)
print("running", flush=True)
until = time.time() + float(sys.argv[1])
while time.time() < until:
    for _ in range(20):
        c = a @ b
    torch.cuda.synchronize()
"""


def command(address: str, *flags: str) -> list[str]:
    """Return the command line of an exporter."""
    return [sys.executable, "-m", "exporter", "-a", address, *flags]


class Exporter(NamedTuple):
    """The exporter that all tests share, with the default settings."""

    process: subprocess.Popen[bytes]

    def scrape(self, accept: str = "text/plain") -> str:
        """Return a page."""
        return fetch(ADDRESS, accept)


@pytest.fixture(scope="session")
def exporter() -> Iterator[Exporter]:
    started = time.monotonic()
    process = subprocess.Popen(command(ADDRESS))
    try:
        running = Exporter(process)
        while True:
            assert process.poll() is None, "the exporter ended"
            assert time.monotonic() - started < 20, "no page with profiling fields within 20 s"
            try:
                if "\nDCGM_FI_PROF_DRAM_ACTIVE{" in running.scrape():
                    break
            except OSError:
                pass
            time.sleep(0.01)
        yield running
    finally:
        process.terminate()
        process.wait(2)


@pytest.fixture(scope="session")
def nvml_log() -> Iterator[NvmlLog]:
    pynvml.nvmlInit()
    log = NvmlLog(pynvml.nvmlDeviceGetHandleByIndex(0))
    yield log
    log.close()


class Load:
    """A matrix product on the GPU, in a process of its own, by the machine's PyTorch."""

    def __init__(self, seconds: float) -> None:
        # the exporter's packages must not come before PyTorch's own
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [os.environ.get("TORCH_PYTHON", "python3"), "-c", LOAD, str(seconds)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"running\n", "PyTorch does not run here"

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def matrix_product() -> Iterator[Load]:
    load = Load(60)
    time.sleep(6)  # clocks, power and temperature settle
    yield load
    load.stop()


@pytest.fixture(scope="session")
def report() -> Path:
    """Where scrapes and the comparison go: DEVICE_REPORT, else the current folder's device-report."""
    folder = Path(os.environ.get("DEVICE_REPORT", "device-report"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder

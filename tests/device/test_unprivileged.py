"""A real GPU, read under what packaging/systemd/gpu-metrics-exporter.service forbids: no user of its own, no right.

Not in it: the unit's DevicePolicy= and SystemCallFilter=, which need systemd.
"""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.device.conftest import Exporter
from tests.device.pages import page_of
from tests.waiting import until

ADDRESS = "127.0.0.1:9416"

AS_THE_UNIT = """
import ctypes, runpy, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1  # MemoryDenyWriteExecute=yes, as the kernel has it since 6.3
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    print("the kernel is too old for PR_SET_MDWE", flush=True)
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""
POWERLESS = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
NOBODY = (*POWERLESS, "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def unprivileged() -> Iterator[Exporter]:
    process = subprocess.Popen([*who(), sys.executable, "-c", AS_THE_UNIT, "-a", ADDRESS])
    try:
        until(lambda: process.poll() is not None or "DCGM_FI_DEV_GPU_UTIL{" in page_of(ADDRESS), what="it serves")
        assert process.poll() is None
        yield Exporter(process)
    finally:
        process.terminate()
        process.wait(10)


def who() -> tuple[str, ...]:
    """Return how to become nobody; where nobody can't read this checkout, how to lose root's rights."""
    can_read = subprocess.run(
        [*NOBODY, sys.executable, "-c", "import exporter.cli.main"], capture_output=True, check=False
    )
    print("as", "nobody" if can_read.returncode == 0 else "root without a capability")
    return NOBODY if can_read.returncode == 0 else POWERLESS


def names(text: str) -> set[str]:
    return set(re.findall(r"^(DCGM_\w+)\{", text, re.MULTILINE))


def test_a_user_without_rights_reads_what_root_reads(exporter: Exporter, unprivileged: Exporter) -> None:
    until(
        lambda: names(page_of(ADDRESS)) >= names(exporter.scrape()),
        lambda: names(exporter.scrape()) - names(page_of(ADDRESS)),
    )
    refused = re.findall(
        r'^gpu_exporter_reading_errors_total\{.*reason="not_permitted".*$', page_of(ADDRESS), re.MULTILINE
    )
    print("not permitted:", refused or "nothing")
    assert refused == []
    assert unprivileged.process.poll() is None

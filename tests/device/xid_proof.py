"""Real Xids, provoked on a real GPU: totals, window, time, the way back to 0, and what a reload leaves.

python3 -m tests.device.xid_proof; ends with code 1 if something is not as it should be. It prints a table, and writes
all pages into the folder xid-proof in the folder OUT, else the current one. Two minutes. The kernels need CuPy, in the
Python that TORCH_PYTHON names, else python3. They end their own processes, and leave the GPU as it was.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.device.loads import PYTHON, environment
from tests.device.pages import page_of

ADDRESS = "127.0.0.1:9400"
WINDOW_S = 20
RESET_S = 30
PATIENCE_S = 15.0

COUNTERS = """\
DCGM_FI_DEV_GPU_TEMP, gauge, Temperature.
DCGM_FI_DEV_XID_ERRORS, gauge, The last Xid.
DCGM_EXP_XID_ERRORS_COUNT, gauge, Xids within the window.
DCGM_EXP_XID_ERRORS_TOTAL, counter, Xids in all.
DCGM_EXP_CLOCK_EVENTS_COUNT, gauge, Reasons within the window.
DCGM_EXP_CLOCK_EVENTS_TOTAL, counter, Reasons in all.
"""
KERNEL = """
import cupy
memory = cupy.zeros(16, dtype=cupy.int32)
write = cupy.RawKernel('extern "C" __global__ void write(char *p) { *(volatile int *)p = 1; }', 'write')
write((1,), (1,), (cupy.uint64(%s),))
cupy.cuda.Device().synchronize()
"""
PROVOKED = {31: "0x1000", 13: "memory.data.ptr + 1"}
"""Where a kernel has to write: where no memory is, or where an int can't begin."""

LOAD = """
import cupy, time
a = cupy.random.rand(8192, 8192, dtype=cupy.float32)
until = time.time() + 8
while time.time() < until:
    a @ a
    cupy.cuda.Device().synchronize()
"""
Page = Mapping[str, float]
"""Values by series, without the labels that name the GPU."""

LABELS = ("err_code", "xid", "clock_event", "event", "name", "reading", "reason")


class Proof:
    """The steps of the proof: what was done, what was seen, and whether it is right."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.has_failed = False
        print("| done | seen | within | right |\n|---|---|---|---|")

    def step(self, done: str, shown: str, is_right: Callable[[Page], bool], patience_s: float = PATIENCE_S) -> Page:
        """Wait until a page is right, keep it, and print what it says of the series that match `shown`."""
        began = time.monotonic()
        while True:
            text = page_of(ADDRESS)
            page = values(text)
            is_so, passed_s = is_right(page), time.monotonic() - began
            if is_so or passed_s >= patience_s:
                break
            time.sleep(0.1)
        self._number += 1
        (self._folder / f"{self._number:02}.metrics").write_text(text)
        seen = ", ".join(f"{name} {value:.13g}" for name, value in page.items() if re.search(shown, name)) or "nothing"
        print(f"| {done} | {seen} | {passed_s:.1f} s | {'yes' if is_so else 'NO'} |", flush=True)
        self.has_failed = self.has_failed or not is_so
        return page


def values(text: str) -> Page:
    """Return a page's values of the first GPU."""
    found: dict[str, float] = {}
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if pairs.get("gpu", "0") == "0":
            own = ",".join(f"{label}={pairs[label]}" for label in LABELS if label in pairs)
            found[f"{name}{{{own}}}" if own else name] = float(value)
    return found


def run(code: str) -> float:
    """Run Python code that uses CuPy; return when it ended."""
    done = subprocess.run([PYTHON, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    if "No module named" in done.stderr:
        sys.exit(done.stderr)
    return time.time()


LAST, COUNT, TOTAL = "DCGM_FI_DEV_XID_ERRORS", "DCGM_EXP_XID_ERRORS_COUNT", "DCGM_EXP_XID_ERRORS_TOTAL"
WHEN = "gpu_exporter_xid_timestamp_seconds"
OF_XIDS = "XID_ERRORS|xid_timestamp"


def prove_xids(proof: Proof, exporter: "subprocess.Popen[bytes]") -> None:
    """Provoke Xids, and look at what becomes of them."""
    none = {f"{LAST}{{err_code=0}}": 0.0, COUNT: 0.0}
    proof.step("the exporter has started", OF_XIDS, lambda page: none.items() <= page.items())
    before: Page = {}
    for code in (31, 31, 13):
        name, ended = f"xid={code}", run(KERNEL % PROVOKED[code])
        expected = before.get(f"{TOTAL}{{{name}}}", 0) + 1
        before = proof.step(
            f"Xid {code} was provoked",
            OF_XIDS,
            lambda page, name=name, expected=expected, ended=ended: (  # type: ignore[misc]
                page.get(f"{TOTAL}{{{name}}}", 0) >= expected
                and page.get(f"{COUNT}{{{name}}}", 0) >= expected
                and abs(page.get(f"{WHEN}{{{name}}}", 0) - ended) < PATIENCE_S
                and any(one.startswith(f"{LAST}{{") and value > 0 for one, value in page.items())
            ),
        )
    last_at = time.monotonic()
    kept = {name: value for name, value in before.items() if name.startswith((TOTAL, WHEN))}
    exporter.send_signal(signal.SIGHUP)
    time.sleep(3)
    proof.step("SIGHUP, the counters are read again", OF_XIDS, lambda page: kept.items() <= page.items())
    ended_s = WINDOW_S - (time.monotonic() - last_at) + PATIENCE_S
    proof.step(f"{WINDOW_S} s after the last", OF_XIDS, lambda page: page.get(COUNT) == 0, ended_s)
    reset_s = RESET_S - (time.monotonic() - last_at) + PATIENCE_S
    proof.step(f"{RESET_S} s after it", OF_XIDS, lambda page: {**none, **kept}.items() <= page.items(), reset_s)
    exporter.send_signal(signal.SIGUSR1)
    proof.step("SIGUSR1", "released|nvml_up", lambda page: page.get("gpu_exporter_released") == 1)
    exporter.send_signal(signal.SIGUSR2)
    proof.step("SIGUSR2", OF_XIDS, lambda page: {**none, **kept}.items() <= page.items())


def prove_clocks(proof: Proof) -> None:
    """Let the GPU work for a while: it was idle before, and is idle again."""
    shown, idle = "CLOCK_EVENTS.*(gpu_idle|power_cap)", "DCGM_EXP_CLOCK_EVENTS_TOTAL{clock_event=gpu_idle}"
    before = proof.step("an idle GPU", shown, lambda page: idle in page)
    run(LOAD)
    proof.step("8 s of matrix products", shown, lambda page: page.get(idle, 0) == before.get(idle, 0) + 1)


def prove_cost(proof: Proof) -> None:
    """Show which events have come, how often the set was asked and what that took, and that no type was refused."""
    shown = "driver_events|nvmlEventSetWait|nvmlDeviceRegisterEvents"
    proof.step(
        "all the while",
        shown,
        lambda page: not any("driver_events" in name and "reason" in name for name in page),
    )


def main() -> int:
    """Run the proof; return 1 if something is not as it should be."""
    folder = Path(os.environ.get("OUT", ".")) / "xid-proof"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as counters:
        counters.write(COUNTERS)
        counters.flush()
        windows = [f"--{name}-count-window-size={WINDOW_S * 1000}" for name in ("xid", "clock-events")]
        flags = ["-a", ADDRESS, "-f", counters.name, *windows, f"--xid-reset-after={RESET_S}s"]
        with subprocess.Popen([sys.executable, "-m", "exporter", *flags]) as exporter:
            proof = Proof(folder)
            try:
                prove_xids(proof, exporter)
                prove_clocks(proof)
                prove_cost(proof)
            finally:
                exporter.terminate()
    return int(proof.has_failed)


if __name__ == "__main__":
    sys.exit(main())

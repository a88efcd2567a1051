"""Figures of a running exporter: start, memory, CPU by thread, cost of a collection. Prints a table.

python tests/benchmarks/figures.py [--seconds 20] [exporter's flags …], such as --mock or --mock=t4
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ADDRESS = "127.0.0.1:9409"


def scrape() -> str:
    with urllib.request.urlopen(f"http://{ADDRESS}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def first_scrape_s(process: "subprocess.Popen[bytes]", wanted: str) -> float:
    started = time.monotonic()
    while time.monotonic() - started < 20:
        assert process.poll() is None, "the exporter ended"
        try:
            if f"\n{wanted}{{" in scrape():
                return time.monotonic() - started
        except OSError:
            pass
        time.sleep(0.005)
    raise TimeoutError(f"no {wanted} within 20 s")


def memory_mib(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        name: int(line.split()[1]) / 1024
        for line in lines
        for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")
        if line.startswith(f"{name}:")
    }


def cpu_s(pid: int) -> dict[str, float]:
    """Return seconds on a CPU by thread name, from the scheduler's nanoseconds."""
    found: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found[f"{name}-{task.name}"] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def value(page: str, name: str) -> list[float]:
    return [float(v) for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--wanted", default="DCGM_FI_PROF_DRAM_ACTIVE", help="a series of the second collection")
    options, flags = parser.parse_known_args()
    with subprocess.Popen([sys.executable, "-m", "exporter", "-a", ADDRESS, *flags]) as process:
        try:
            print(f"start to first complete scrape: {first_scrape_s(process, options.wanted):.3f} s")
            time.sleep(3)
            before, began = cpu_s(process.pid), time.monotonic()
            totals: list[float] = []
            nvmls: list[float] = []
            while time.monotonic() - began < options.seconds:
                time.sleep(1)
                if len(totals) % 5 == 0:
                    page = scrape()
                totals.append(statistics.mean(value(page, "gpu_exporter_collection_seconds")))
                nvmls.append(statistics.mean(value(page, "gpu_exporter_collection_nvml_seconds")))
            span_s, after = time.monotonic() - began, cpu_s(process.pid)
            for thread in sorted(after):
                print(f"CPU {thread}: {100 * (after[thread] - before.get(thread, 0)) / span_s:.3f} % of a core")
            print(f"CPU in all: {100 * (sum(after.values()) - sum(before.values())) / span_s:.3f} % of a core")
            total, nvml = statistics.median(totals), statistics.median(nvmls)
            samples = len(re.findall(r"^DCGM_", page, re.MULTILINE)) / max(1, len(value(page, "gpu_exporter_gpu_up")))
            print(f"collection: {total * 1e3:.3f} ms, own time {(total - nvml) * 1e6:.0f} us", end=", ")
            print(f"{100 * (total - nvml) / total:.1f} % of it, {(total - nvml) * 1e6 / samples:.1f} us a sample")
            print("memory:", ", ".join(f"{k} {v:.1f} MiB" for k, v in memory_mib(process.pid).items()))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()

"""Every field of the catalogue on a real GPU, idle and under loads, against NVML read beside it; costs, CPU and memory.

    OUT=folder python tests/device/fields_proof.py

Runs the exporter with every field switched on, each second, and plays loads with PyTorch. It writes `fields.csv` (each
field: answered or why not, its value under each load and the range that NVML gave around that moment), `costs.csv`
(each NVML function and field value) and `summary.txt`. It reads NVML by pynvml's functions alone.
"""

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml as n

from exporter.catalogue import ANSWERED, CATALOGUE, profiling
from exporter.nvml.calls import Calls, Ledger
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices

OUT = Path(os.environ["OUT"])
URL = "http://127.0.0.1:9477/metrics"
LOADS = {
    "idle": "time.sleep(99)",
    "bf16": "a = torch.randn(8192, 8192, device='cuda', dtype=torch.bfloat16)\n"
    "while True: b = a @ a; torch.cuda.synchronize()",
    "fp64": "a = torch.randn(8192, 8192, device='cuda', dtype=torch.float64)\n"
    "while True: b = a @ a; torch.cuda.synchronize()",
    "copy": "a = torch.empty(2**32, device='cuda', dtype=torch.uint8); b = torch.empty_like(a)\n"
    "while True:\n for _ in range(8): b.copy_(a)\n torch.cuda.synchronize()",
    "host copy": "a = torch.empty(2**30, dtype=torch.uint8).pin_memory()\n"
    "b = torch.empty(2**30, device='cuda', dtype=torch.uint8)\n"
    "while True: b.copy_(a, non_blocking=True); torch.cuda.synchronize()",
}
LINE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


def get(function: str, *args: Any, of: Callable[[Any], float] = float) -> Callable[[Any], float]:
    return lambda h: of(getattr(n, f"nvmlDeviceGet{function}")(h, *args))


def fv(name: str, factor: float = 1.0) -> Callable[[Any], float]:
    def read(h: Any) -> float:
        (answer,) = n.nvmlDeviceGetFieldValues(h, [getattr(n, f"NVML_FI_DEV_{name}")])
        assert answer.nvmlReturn == 0
        member = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal"}[answer.valueType]
        return float(getattr(answer.value, member)) * factor

    return read


def attr(name: str, factor: float = 1.0) -> Callable[[Any], float]:
    return lambda answer: float(getattr(answer, name)) * factor


MIB = 2.0**-20
V2 = n.nvmlMemory_v2
TRUTHS: dict[str, Callable[[Any], float]] = {
    "SM_CLOCK": get("ClockInfo", 1),
    "MEM_CLOCK": get("ClockInfo", 2),
    "VIDEO_CLOCK": get("ClockInfo", 3),
    "SM_CLOCK_HERTZ": get("ClockInfo", 1, of=lambda v: v * 1e6),
    "MAX_SM_CLOCK": get("MaxClockInfo", 1),
    "MAX_MEM_CLOCK": get("MaxClockInfo", 2),
    "MAX_VIDEO_CLOCK": get("MaxClockInfo", 3),
    "APP_SM_CLOCK": get("ApplicationsClock", 0),
    "APP_MEM_CLOCK": get("ApplicationsClock", 2),
    "CLOCKS_EVENT_REASONS": get("CurrentClocksEventReasons"),
    "GPU_PSTATE": get("PerformanceState"),
    "GPU_TEMP_CELSIUS": get("Temperature", 0),
    "MEMORY_TEMP_CELSIUS": fv("MEMORY_TEMP"),
    "GPU_TEMP_MARGIN_CELSIUS": get("MarginTemperature"),
    "GPU_TEMP_SHUTDOWN_CELSIUS": get("TemperatureThreshold", 0),
    "GPU_TEMP_SLOWDOWN_CELSIUS": get("TemperatureThreshold", 1),
    "MEMORY_MAX_OP_TEMP_CELSIUS": get("TemperatureThreshold", 2),
    "GPU_MAX_OP_TEMP_CELSIUS": get("TemperatureThreshold", 3),
    "BOARD_POWER_WATTS": get("PowerUsage", of=lambda v: v / 1e3),
    "BOARD_POWER_RAW_WATTS": fv("POWER_INSTANT", 1e-3),
    "TOTAL_ENERGY_CONSUMPTION": get("TotalEnergyConsumption"),
    "BOARD_POWER_LIMIT_REQUESTED_WATTS": get("PowerManagementLimit", of=lambda v: v / 1e3),
    "BOARD_POWER_LIMIT_DEFAULT_WATTS": get("PowerManagementDefaultLimit", of=lambda v: v / 1e3),
    "BOARD_POWER_LIMIT_ENFORCED_WATTS": get("EnforcedPowerLimit", of=lambda v: v / 1e3),
    "BOARD_POWER_LIMIT_MIN_WATTS": get("PowerManagementLimitConstraints", of=lambda v: v[0] / 1e3),
    "BOARD_POWER_LIMIT_MAX_WATTS": get("PowerManagementLimitConstraints", of=lambda v: v[1] / 1e3),
    "PCIE_REPLAY_TOTAL": get("PcieReplayCounter"),
    "PCIE_MAX_LINK_GEN": get("MaxPcieLinkGeneration"),
    "PCIE_MAX_LINK_WIDTH": get("MaxPcieLinkWidth"),
    "PCIE_LINK_GEN": get("CurrPcieLinkGeneration"),
    "PCIE_LINK_WIDTH": get("CurrPcieLinkWidth"),
    "PCIE_CORRECTABLE_ERROR_TOTAL": fv("PCIE_COUNT_CORRECTABLE_ERRORS"),
    "GPU_UTIL": get("UtilizationRates", of=attr("gpu")),
    "MEM_COPY_UTIL": get("UtilizationRates", of=attr("memory")),
    "GPU_UTIL_RATIO": get("UtilizationRates", of=attr("gpu", 0.01)),
    "ENC_UTIL": get("EncoderUtilization", of=lambda v: v[0]),
    "DEC_UTIL": get("DecoderUtilization", of=lambda v: v[0]),
    "FB_TOTAL": get("MemoryInfo", V2, of=attr("total", MIB)),
    "FB_USED": get("MemoryInfo", V2, of=attr("used", MIB)),
    "FB_FREE": get("MemoryInfo", V2, of=attr("free", MIB)),
    "FB_RESERVED": get("MemoryInfo", V2, of=attr("reserved", MIB)),
    "FB_USED_BYTES": get("MemoryInfo", V2, of=attr("used")),
    "BAR1_TOTAL": get("BAR1MemoryInfo", of=attr("bar1Total", MIB)),
    "BAR1_USED": get("BAR1MemoryInfo", of=attr("bar1Used", MIB)),
    "BAR1_FREE": get("BAR1MemoryInfo", of=attr("bar1Free", MIB)),
    "BAR1_USED_BYTES": get("BAR1MemoryInfo", of=attr("bar1Used")),
    "ECC_MODE": get("EccMode", of=lambda v: v[0]),
    "ECC_PENDING": get("EccMode", of=lambda v: v[1]),
    **{
        f"ECC_{e}_{k}_TOTAL": get("TotalEccErrors", i, j)
        for i, e in enumerate(("SBE", "DBE"))
        for j, k in enumerate(("VOL", "AGG"))
    },
    **{
        f"ECC_{e}_{k}_{p}": get("MemoryErrorCounter", i, j, loc)
        for i, e in enumerate(("SBE", "DBE"))
        for j, k in enumerate(("VOL", "AGG"))
        for p, loc in (("DEV", 2), ("SRM", 7))
    },
    "ROW_REMAP_CORRECTABLE_TOTAL": get("RemappedRows", of=lambda v: v[0]),
    "ROW_REMAP_UNCORRECTABLE_TOTAL": get("RemappedRows", of=lambda v: v[1]),
    "ROW_REMAP_PENDING": get("RemappedRows", of=lambda v: v[2]),
    "ROW_REMAP_FAILED": get("RemappedRows", of=lambda v: v[3]),
    **{
        f"BANK_REMAP_AVAIL_{k.upper()}": get("RowRemapperHistogram", of=attr(k))
        for k in ("max", "high", "partial", "low", "none")
    },
    "MEMORY_UNREPAIRABLE": get("UnrepairableMemoryFlag_v1"),
    "GPU_RECOVERY_ACTION": fv("GET_GPU_RECOVERY_ACTION"),
    **{
        f"{k}_VIOLATION": get("ViolationStatus", i, of=attr("violationTime"))
        for k, i in (
            ("POWER", 0),
            ("THERMAL", 1),
            ("SYNC_BOOST", 2),
            ("BOARD_LIMIT", 3),
            ("LOW_UTIL", 4),
            ("RELIABILITY", 5),
            ("TOTAL_APP_CLOCKS", 10),
            ("TOTAL_BASE_CLOCKS", 11),
        )
    },
    "GPU_COMPUTE_MODE": get("ComputeMode"),
    "GPU_PERSISTENCE_MODE": get("PersistenceMode"),
    "MIG_MODE": get("MigMode", of=lambda v: v[0]),
    "MIG_MAX_SLICES": get("MaxMigDeviceCount"),
    "GPU_VIRTUAL_MODE": get("VirtualizationMode"),
    "GPU_MINOR_NUMBER": get("MinorNumber"),
    "NVML_INDEX": get("Index"),
    "PCI_COMBINED_ID": get("PciInfo", of=attr("pciDeviceId")),
    "PCI_SUBSYS_ID": get("PciInfo", of=attr("pciSubSystemId")),
    "CPU_AFFINITY_0": get("CpuAffinity", 4, of=lambda v: float(v[0])),
    "MEMORY_AFFINITY_0": get("MemoryAffinity", 4, 0, of=lambda v: float(v[0])),
    "INFOROM_CHECKSUM": get("InforomConfigurationChecksum"),
    "PCIE_TX_THROUGHPUT": get("PcieThroughput", 0),
    "PCIE_RX_THROUGHPUT": get("PcieThroughput", 1),
}
SELDOM = {"PCIE_TX_THROUGHPUT", "PCIE_RX_THROUGHPUT", "INFOROM_CHECKSUM"}
GPM = {**profiling.INSTANCE_RATIOS, **profiling.RATIOS}
GPM_RATES = {k: v for k, v in profiling.RATES.items() if "_L" not in v}


def tolerance(name: str, top: float) -> float:
    if "CLOCK" in name and "VIOL" not in name:
        return 60e6 if "HERTZ" in name else 60
    if "VIOLATION" in name:
        return 4e9
    if "ENERGY" in name:
        return 4e6
    if name.startswith("PROF"):
        return 0.03 + 0.1 * top if "BYTES" not in name else 3e6 + 0.3 * top
    if "PCIE_" in name and "THROUGHPUT" in name:
        return 50_000 + 0.5 * top
    return (
        3 + 0.06 * top
        if ("UTIL" in name or "POWER" in name or "TEMP" in name or "WATT" in name) and "LIMIT" not in name
        else 1 + 1e-6 * top
    )


def scrape() -> tuple[str, float]:
    began = time.perf_counter()
    with urllib.request.urlopen(URL, timeout=10) as answer:
        text = answer.read().decode()
    return text, time.perf_counter() - began


def values(page: str) -> dict[str, float]:
    return {name: float(value) for name, labels, value in LINE.findall(page) if "nvlink=" not in labels}


def gpm_window(h: Any, seconds: float) -> dict[str, float]:
    names = [*GPM, *GPM_RATES]
    older = n.nvmlGpmSampleGet(h, n.nvmlGpmSampleAlloc())
    time.sleep(seconds)
    newer = n.nvmlGpmSampleGet(h, n.nvmlGpmSampleAlloc())
    request = n.c_nvmlGpmMetricsGet_t()
    request.version, request.numMetrics = n.NVML_GPM_METRICS_GET_VERSION, len(names)
    request.sample1, request.sample2 = older, newer
    for i, name in enumerate(names):
        request.metrics[i].metricId = getattr(n, f"NVML_GPM_METRIC_{name}")
    n.nvmlGpmMetricsGet(request)
    found = {}
    for i, name in enumerate(names):
        factor, ours = (0.01, GPM[name]) if name in GPM else (2.0**20, GPM_RATES[name])
        found[f"PROF_{ours}"] = request.metrics[i].value * factor
    n.nvmlGpmSampleFree(older)
    n.nvmlGpmSampleFree(newer)
    return found


def beside(h: Any, seconds: float) -> Iterator[tuple[str, float]]:
    """Yield what NVML says for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, read in TRUTHS.items():
            if name in SELDOM and time.monotonic() < end - seconds + 1:
                continue
            with contextlib.suppress(n.NVMLError):
                yield f"DEV_{name}", read(h)
        for name, value in gpm_window(h, 1.0).items():
            yield name, value


def phase(load: str, h: Any) -> tuple[dict[str, float], dict[str, tuple[float, float]], str, float]:
    code = f"import time, torch\n{LOADS[load]}"
    running = subprocess.Popen([os.environ.get("TORCH_PYTHON", sys.executable), "-c", code])
    time.sleep(9 if load != "idle" else 3)
    ranges: dict[str, tuple[float, float]] = {}
    page, took = "", 0.0
    for i, (name, value) in enumerate(beside(h, 5.0)):
        low, high = ranges.get(name, (value, value))
        ranges[name] = min(low, value), max(high, value)
        if not page and i > 2 * len(TRUTHS):
            page, took = scrape()
    if not page:
        page, took = scrape()
    smi = subprocess.run(["nvidia-smi", "-q"], capture_output=True, text=True, check=False).stdout
    (OUT / f"smi-{load.replace(' ', '-')}.txt").write_text(smi)
    running.kill()
    running.wait()
    return values(page), ranges, page, took


def cpu_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def costs() -> list[str]:
    """Collect everything in this process for 40 s; write what each name costs."""
    ledger = Ledger()
    calls = Calls(n, ledger)
    layout = find_layout(calls, 0)
    assert isinstance(layout, Layout)
    device = select({0: layout}, parse_devices("f"))[0]
    sampler = Sampler(device, calls, Pacing(time, 1.0), lambda _: None)
    sampler.follow(plan(ANSWERED, CATALOGUE))
    for _ in range(2):
        sampler.collect()
        time.sleep(0.2)
    first = ledger.totals()
    totals, nvml, cpu, counts = [], [], time.process_time(), []
    for _ in range(40):
        began = time.monotonic()
        cost = sampler.collect().cost
        totals.append(cost.total_s)
        nvml.append(cost.nvml_s)
        counts.append(cost.nvml_calls)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
    cpu = time.process_time() - cpu
    with (OUT / "costs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "first_us", "mean_us", "times_in_40_s"))
        for name, spent in sorted(ledger.totals().items()):
            before = first.get(name)
            later = spent.times - (before.times if before else 0)
            seconds = spent.seconds - (before.seconds if before else 0)
            first_us = before.seconds / before.times * 1e6 if before else 0
            writer.writerow((name, f"{first_us:.1f}", f"{seconds / later * 1e6:.1f}" if later else "", later))
    sampler.close()
    mid = sorted(t / s for t, s in zip(totals, nvml, strict=True))[len(totals) // 2]
    return [
        (
            f"everything, each second, one GPU, in process: {sum(totals) / 40 * 1e3:.2f} ms a collection, "
            f"{sum(nvml) / 40 * 1e3:.2f} ms of it NVML; ratio of the sums {sum(totals) / sum(nvml):.3f}, "
            f"median {mid:.3f}; {sum(counts) / 40:.1f} calls; CPU {cpu / 40 * 100:.2f} % of a core"
        ),
    ]


def main() -> None:
    n.nvmlInit()
    h = n.nvmlDeviceGetHandleByIndex(0)
    report = [f"{n.nvmlDeviceGetName(h)}, driver {n.nvmlSystemGetDriverVersion()}"]
    report += costs()
    counters = OUT / "all.csv"
    counters.write_text("".join(f"{name}, gauge, {name}\n" for name in sorted(ANSWERED)))
    command = [sys.executable, "-m", "exporter", "-f", str(counters), "-a", "127.0.0.1:9477", "-c", "1000"]
    exporter = subprocess.Popen(command, stderr=(OUT / "log.txt").open("w"))
    time.sleep(14)
    began, busy = time.monotonic(), cpu_s(exporter.pid)
    scrapes = []
    for _ in range(3):
        time.sleep(15)
        scrapes.append(scrape())
    share = (cpu_s(exporter.pid) - busy) / (time.monotonic() - began)
    report.append(
        f"the program with everything, idle, scrapes each 15 s: {share * 100:.2f} % of a core, "
        f"{rss_mib(exporter.pid):.1f} MiB, "
        f"page {len(scrapes[-1][0])} bytes, scrapes {', '.join(f'{took * 1e3:.1f}' for _, took in scrapes)} ms"
    )
    found: dict[str, dict[str, str]] = {name: {} for name in sorted(ANSWERED)}
    disagreements = []
    for load in LOADS:
        ours, ranges, page, _ = phase(load, h)
        if load == "idle":
            (OUT / "page-idle.metrics").write_text(page)
        for name, row in found.items():
            if name in ours:
                row[load] = f"{ours[name]:.9g}"
            short = name.removeprefix("DCGM_FI_")
            if short in ranges and name in ours:
                low, high = ranges[short]
                row[f"nvml {load}"] = f"{low:.9g} to {high:.9g}"
                slack = tolerance(short, max(abs(low), abs(high)))
                if not low - slack <= ours[name] <= high + slack:
                    disagreements.append(f"{load}: {name} {ours[name]:.9g}, NVML {low:.9g} to {high:.9g}")
    page, _ = scrape()
    reasons = dict(re.findall(r'gpu_exporter_reading_errors_total\{reading="(\w+)",reason="(\w+)"\}', page))
    texts = dict(re.findall(r'(DCGM_FI_\w+)="([^"]*)"', page))
    links = {name for name, labels, _ in LINE.findall(page) if "nvlink=" in labels}
    columns = [column for load in LOADS for column in (load, f"nvml {load}")]
    with (OUT / "fields.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "answered", *columns))
        for name, row in found.items():
            answered = "yes" if row or name in texts or name in links else reasons.get(name, "no")
            writer.writerow(
                (
                    name,
                    answered,
                    *(row.get(column, texts.get(name, "") if column == "idle" else "") for column in columns),
                )
            )
    compared = sum(any(column.startswith("nvml") for column in row) for row in found.values())
    answered = sum(bool(row) for row in found.values()) + len(texts)
    report += [
        f"{answered} of {len(found)} fields answered, {compared} compared with NVML under {len(LOADS)} loads",
        *disagreements,
    ]
    report.append(
        json.dumps(
            {
                load: {
                    k: found[k].get(load)
                    for k in (
                        "DCGM_FI_PROF_TENSOR_UTIL_RATIO",
                        "DCGM_FI_PROF_DRAM_UTIL_RATIO",
                        "DCGM_FI_PROF_SM_UTIL_RATIO",
                        "DCGM_FI_PROF_SM_OCCUPANCY_RATIO",
                        "DCGM_FI_PROF_FP64_UTIL_RATIO",
                        "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO",
                        "DCGM_FI_PROF_PCIE_RX_BYTES",
                    )
                }
                for load in LOADS
            }
        )
    )
    exporter.terminate()
    exporter.wait()
    (OUT / "summary.txt").write_text("\n".join(report) + "\n")
    print("\n".join(report))


if __name__ == "__main__":
    main()

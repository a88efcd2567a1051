"""Compare what `nvidia-smi -q` printed with a page of the exporter, both of one idle GPU at one time.

    python tests/device/smi_proof.py smi-idle.txt page-idle.metrics

Both files come from fields_proof.py. It prints a table for docs/h200.md and ends with 1 if a line says something else.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MIB = 1 / 2**20
SAME: tuple[tuple[str, str, float], ...] = (
    ("Persistence Mode", "GPU_PERSISTENCE_MODE", 1),
    ("MIG Mode/Current", "MIG_MODE", 1),
    ("Minor Number", "GPU_MINOR_NUMBER", 1),
    ("Platform Info/Module Id", "PLATFORM_MODULE_ID", 1),
    ("PCI/Device Id", "PCI_COMBINED_ID", 1),
    ("PCI/Sub System Id", "PCI_SUBSYS_ID", 1),
    ("PCI/GPU Link Info/PCIe Generation/Current", "PCIE_LINK_GEN", 1),
    ("PCI/GPU Link Info/PCIe Generation/Max", "PCIE_MAX_LINK_GEN", 1),
    ("PCI/GPU Link Info/Link Width/Current", "PCIE_LINK_WIDTH", 1),
    ("PCI/GPU Link Info/Link Width/Max", "PCIE_MAX_LINK_WIDTH", 1),
    ("PCI/Replays Since Reset", "PCIE_REPLAY_TOTAL", 1),
    ("Performance State", "GPU_PSTATE", 1),
    ("Clocks Event Reasons/Idle", "CLOCKS_EVENT_REASONS", 1),
    ("Clocks Event Reasons Counters/SW Power Capping", "CLOCKS_EVENT_REASON_SW_POWER_CAP_NS", 1e-3),
    ("Clocks Event Reasons Counters/Sync Boost", "CLOCKS_EVENT_REASON_SYNC_BOOST_NS", 1e-3),
    ("Clocks Event Reasons Counters/SW Thermal Slowdown", "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", 1e-3),
    ("Clocks Event Reasons Counters/HW Thermal Slowdown", "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS", 1e-3),
    ("Clocks Event Reasons Counters/HW Power Braking", "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS", 1e-3),
    ("FB Memory Usage/Total", "FB_CAPACITY_BYTES", MIB),
    ("FB Memory Usage/Reserved", "FB_RESERVED_BYTES", MIB),
    ("FB Memory Usage/Used", "FB_USED_BYTES", MIB),
    ("FB Memory Usage/Free", "FB_FREE_BYTES", MIB),
    ("BAR1 Memory Usage/Total", "BAR1_CAPACITY_BYTES", MIB),
    ("BAR1 Memory Usage/Used", "BAR1_USED_BYTES", MIB),
    ("BAR1 Memory Usage/Free", "BAR1_FREE_BYTES", MIB),
    ("Utilization/GPU", "GPU_UTIL_RATIO", 100),
    ("Utilization/Memory", "MEMORY_UTIL_RATIO", 100),
    ("Utilization/Encoder", "ENC_UTIL_RATIO", 100),
    ("Utilization/Decoder", "DEC_UTIL_RATIO", 100),
    ("ECC Mode/Current", "ECC_MODE", 1),
    ("ECC Mode/Pending", "ECC_PENDING", 1),
    ("ECC Errors/Volatile/SRAM Correctable", "ECC_SBE_VOL_SRM", 1),
    ("ECC Errors/Volatile/DRAM Correctable", "ECC_SBE_VOL_DEV", 1),
    ("ECC Errors/Volatile/DRAM Uncorrectable", "ECC_DBE_VOL_DEV", 1),
    ("ECC Errors/Aggregate/SRAM Correctable", "ECC_SBE_AGG_SRM", 1),
    ("ECC Errors/Aggregate/DRAM Correctable", "ECC_SBE_AGG_DEV", 1),
    ("ECC Errors/Aggregate/DRAM Uncorrectable", "ECC_DBE_AGG_DEV", 1),
    ("ECC Errors/Aggregate/SRAM Threshold Exceeded", "SRAM_EXCEEDED", 1),
    ("ECC Errors/Unrepairable Memory", "MEMORY_UNREPAIRABLE", 1),
    ("Remapped Rows/Correctable Error", "ROW_REMAP_CORRECTABLE_TOTAL", 1),
    ("Remapped Rows/Uncorrectable Error", "ROW_REMAP_UNCORRECTABLE_TOTAL", 1),
    ("Remapped Rows/Pending", "ROW_REMAP_PENDING", 1),
    ("Remapped Rows/Remapping Failure Occurred", "ROW_REMAP_FAILED", 1),
    ("Remapped Rows/Bank Remap Availability Histogram/Max", "BANK_REMAP_AVAIL_MAX", 1),
    ("Remapped Rows/Bank Remap Availability Histogram/High", "BANK_REMAP_AVAIL_HIGH", 1),
    ("Remapped Rows/Bank Remap Availability Histogram/Partial", "BANK_REMAP_AVAIL_PARTIAL", 1),
    ("Remapped Rows/Bank Remap Availability Histogram/Low", "BANK_REMAP_AVAIL_LOW", 1),
    ("Remapped Rows/Bank Remap Availability Histogram/None", "BANK_REMAP_AVAIL_NONE", 1),
    ("Temperature/GPU Current Temp", "GPU_TEMP_CELSIUS", 1),
    ("Temperature/GPU T.Limit Temp", "GPU_TEMP_MARGIN_CELSIUS", 1),
    ("Temperature/Memory Current Temp", "MEMORY_TEMP_CELSIUS", 1),
    ("GPU Power Readings/Average Power Draw", "BOARD_POWER_WATTS", 1),
    ("GPU Power Readings/Instantaneous Power Draw", "BOARD_POWER_RAW_WATTS", 1),
    ("GPU Power Readings/Current Power Limit", "BOARD_POWER_LIMIT_ENFORCED_WATTS", 1),
    ("GPU Power Readings/Requested Power Limit", "BOARD_POWER_LIMIT_REQUESTED_WATTS", 1),
    ("GPU Power Readings/Default Power Limit", "BOARD_POWER_LIMIT_DEFAULT_WATTS", 1),
    ("GPU Power Readings/Min Power Limit", "BOARD_POWER_LIMIT_MIN_WATTS", 1),
    ("GPU Power Readings/Max Power Limit", "BOARD_POWER_LIMIT_MAX_WATTS", 1),
    ("Clocks/SM", "SM_CLOCK_HERTZ", 1e-6),
    ("Clocks/Memory", "MEMORY_CLOCK_HERTZ", 1e-6),
    ("Clocks/Video", "VIDEO_CLOCK_HERTZ", 1e-6),
    ("Applications Clocks/Graphics", "SM_APP_CLOCK_HERTZ", 1e-6),
    ("Applications Clocks/Memory", "MEMORY_APP_CLOCK_HERTZ", 1e-6),
    ("Max Clocks/SM", "SM_MAX_CLOCK_HERTZ", 1e-6),
    ("Max Clocks/Memory", "MEMORY_MAX_CLOCK_HERTZ", 1e-6),
    ("Max Clocks/Video", "VIDEO_MAX_CLOCK_HERTZ", 1e-6),
)
"""A line of nvidia-smi, the field after DCGM_FI_DEV_, and the factor from the field to the line."""

MOVES = {"BOARD_POWER_WATTS": 1.0, "BOARD_POWER_RAW_WATTS": 1.0, "MEMORY_TEMP_CELSIUS": 1.0, "GPU_TEMP_CELSIUS": 1.0}
WORDS = {"No": 0, "Disabled": 0, "Not Active": 0, "Yes": 1, "Enabled": 1, "Active": 1}


def smi_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line's path, from its indentation, and its value."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        name, colon, value = line.partition(" : ")
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        if colon:
            yield "/".join([*(part for deep, part in above if deep > 0), name.strip()]), value.strip()
        above.append((indent, name.strip()))


def number(text: str) -> float:
    if text in WORDS:
        return WORDS[text]
    found = re.search(r"0x[0-9A-F]+|-?[0-9.]+", text, re.IGNORECASE)
    if not found:
        raise ValueError(text)
    return int(found[0], 16) if found[0].lower().startswith("0x") else float(found[0])


def main(smi: Path, page: Path) -> int:
    lines = dict(smi_lines(smi.read_text()))
    fields = dict(re.findall(r"^DCGM_FI_DEV_(\w+)\{[^}]*\} (\S+)", page.read_text(), re.MULTILINE))
    wrong = 0
    print("| nvidia-smi -q | its value | field | our value |\n|---|---|---|---|")
    for line, field, factor in SAME:
        says, printed = lines[line], float(fields[field])
        same = abs(number(says) - printed * factor) <= MOVES.get(field, 1.0 if factor == MIB else 1e-6)
        wrong += not same
        print(f"| {line} | {says} | `DCGM_FI_DEV_{field}` | {fields[field]}{'' if same else ' **differs**'} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""The tables of nvlink_proof: what NVML and the exporter say of links, PCIe and paths, beside the payload of a load."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isnan
from typing import Any, NamedTuple

import pynvml

from tests.device import link_counters
from tests.device.link_counters import LINKS, WAYS, Rates, moved
from tests.golden.series import read_series

HEALTH = "DCGM_EXP_GPU_HEALTH_STATUS"
TOLERANCE = 0.03
NOTHING = 1e6
"""Bytes a second that count as none."""

GPM_UNIT = 1.024
"""What GPM calls MiB of NVLink is 1000 KiB: DCGM's bytes are more than the payload by this."""


class Phase(NamedTuple):
    """A load, and which ways of which GPUs it fills; each of them carries what the load says that it moved."""

    name: str
    kind: str
    nvlink: frozenset[tuple[int, str]] = frozenset()
    pcie: frozenset[tuple[int, str]] = frozenset()


class Family(NamedTuple):
    """Fields that say the same of a GPU, of each of its links by name, and of each by label; bytes in their unit."""

    whole: str
    link: str
    each: str
    unit: float


def families(way: str) -> tuple[Family, ...]:
    """Return the families of a way, or of both together."""
    dev, prof = "DCGM_FI_DEV_NVLINK", "DCGM_FI_PROF_NVLINK"
    if way in WAYS:
        name = f"{dev}_{way}_THROUGHPUT"
        return (
            Family(f"{name}_TOTAL", f"{name}_L{{}}", f"{name}_PER_LINK", 1024 * 1000),
            Family(f"{prof}_{way}_BYTES", f"{prof}_L{{}}_{way}_BYTES", f"{prof}_{way}_BYTES_PER_LINK", 1 / GPM_UNIT),
        )
    name = f"{dev}_THROUGHPUT"
    return (
        Family(f"{name}_TOTAL", f"{name}_L{{}}", f"{name}_PER_LINK", 1024 * 1000),
        Family(f"{dev}_BANDWIDTH_TOTAL", "", "", 1024 * 1000),
        Family(f"{name}_BYTES_PER_SECOND", f"{name}_L{{}}_BYTES_PER_SECOND", "", 1),
    )


class Page:
    """A page of the exporter by field, GPU and link."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._series = read_series(text)

    def values(self, name: str, gpu: int) -> dict[str, float]:
        """Return a field's values of a GPU by its links' numbers, "" for the GPU itself."""
        found = (one for one in self._series if one.name == name and one.labels.get("gpu") == str(gpu))
        return {one.labels.get("nvlink", ""): float(one.value) for one in found}

    def one(self, name: str, gpu: int) -> float:
        """Return a field's value of a GPU; NaN where there is none."""
        return self.values(name, gpu).get("", float("nan"))

    def links(self, family: Family, gpu: int) -> Iterator[float]:
        """Yield what each link carries, by name and by label."""
        if family.link:
            yield from (self.one(family.link.format(link), gpu) * family.unit for link in LINKS)
        if family.each:
            values = self.values(family.each, gpu)
            yield from (values.get(str(link), float("nan")) * family.unit for link in LINKS)

    def labelled(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(one.labels, float(one.value)) for one in self._series if one.name == name]


class Measured(NamedTuple):
    """What was seen in a phase: the load's log, the exporter's last page in it, and NVML's rates by GPU."""

    phase: Phase
    log: Sequence[Sequence[float]]
    page: Page
    rates: Mapping[int, Rates]

    def payload(self, gpu: int, way: str) -> float:
        """Return what NVLink carried while NVML was read, in bytes a second."""
        return moved(self.log, self.rates[gpu].span) if (gpu, way) in self.phase.nvlink else 0.0


class Verdicts:
    """What is wrong, in sentences."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.count = 0

    def check(self, what: str, *, is_right: bool) -> None:
        self.count += 1
        if not is_right:
            self.wrong.append(what)

    def near(self, what: str, value: float, truth: float, tolerance: float = TOLERANCE) -> None:
        """Check a rate in bytes a second against the true one."""
        is_right = abs(value / truth - 1) <= tolerance if truth else 0 <= value <= NOTHING
        self.check(f"{what}: {value / 1e9:.3f} GB/s, not {truth / 1e9:.3f}", is_right=is_right)

    def all_near(self, what: str, values: Sequence[float], truth: float) -> None:
        """Check the one of some rates that is furthest off, or that is not there."""
        if values:
            self.near(what, max(values, key=lambda value: inf if isnan(value) else abs(value - truth)), truth)


def share(value: float, payload: float) -> str:
    """Return a rate as a multiple of the payload; where there is none, in GB/s."""
    return f"{value / payload:.4f}" if payload else "0" if value < NOTHING else f"{value / 1e9:.2f} GB/s"


def spread(values: Iterable[float], payload: float) -> str:
    low, high = min(values := list(values)), max(values)
    return f"{share(low, payload)} to {share(high, payload)}" if high >= NOTHING else "0"


def nvml_table(all_measured: Sequence[Measured], verdicts: Verdicts) -> Iterator[str]:
    """Compare NVML's counters of NVLink with the payload."""
    yield "| load | GPU | way | payload | DATA | single links | RAW | GPM |\n|---|---|---|---|---|---|---|---|"
    for seen in all_measured:
        for gpu, rates in seen.rates.items():
            for way in WAYS:
                payload, data = seen.payload(gpu, way), rates.data[way]
                what = f"{seen.phase.name}, GPU {gpu} {way}, NVML"
                verdicts.near(f"{what} DATA", data[link_counters.ALL], payload)
                verdicts.all_near(f"{what} DATA of a link", [data[link] for link in LINKS], payload / len(LINKS))
                verdicts.near(f"{what} GPM", rates.gpm[way], payload * GPM_UNIT)
                verdicts.check(f"{what} RAW is less than DATA", is_right=rates.raw[way] >= payload)
                yield (
                    f"| {seen.phase.name} | {gpu} | {way} | {payload / 1e9:.2f} GB/s "
                    f"| {share(data[link_counters.ALL], payload)} "
                    f"| {spread((data[link] for link in LINKS), payload / len(LINKS))} "
                    f"| {share(rates.raw[way], payload)} | {share(rates.gpm[way], payload)} |"
                )


def field_table(all_measured: Sequence[Measured], verdicts: Verdicts) -> Iterator[str]:
    """Compare the exporter's fields with the payload."""
    yield "| field | load | exporter | single links |\n|---|---|---|---|"
    for way in (*WAYS, "both"):
        for family in families(way):
            for seen in all_measured:
                cells = list(_family_cells(seen, way, family, verdicts))
                if cells:
                    wholes, links = zip(*cells, strict=True)
                    yield f"| `{family.whole}` | {seen.phase.name} | {', '.join(wholes)} | {', '.join(links)} |"


def _family_cells(seen: Measured, way: str, family: Family, verdicts: Verdicts) -> Iterator[tuple[str, str]]:
    for gpu in seen.rates:
        payload = sum(seen.payload(gpu, one) for one in (WAYS if way == "both" else (way,)))
        whole, links = seen.page.one(family.whole, gpu) * family.unit, list(seen.page.links(family, gpu))
        what = f"{seen.phase.name}, GPU {gpu}, exporter {family.whole}"
        verdicts.near(what, whole, payload)
        verdicts.all_near(f"{what}, of a link", links, payload / len(LINKS))
        if payload:
            yield share(whole, payload), spread(links, payload / len(LINKS)) if links else ""


def pcie_table(all_measured: Sequence[Measured], verdicts: Verdicts) -> Iterator[str]:
    """Compare what NVML and the exporter say of PCIe with the payload."""
    yield "| load | GPU | way | payload | NVML counts | NVML, 20 ms | exporter | GPM | exporter |\n" + "|---" * 9 + "|"
    for seen in all_measured:
        for gpu, rates in seen.rates.items():
            for way in WAYS:
                is_filled = (gpu, way) in seen.phase.pcie
                payload = moved(seen.log, rates.counted_span) if is_filled else 0.0
                instant = seen.page.one(f"DCGM_FI_DEV_PCIE_{way}_THROUGHPUT", gpu) * 1000
                mean = seen.page.one(f"DCGM_FI_PROF_PCIE_{way}_BYTES", gpu)
                if is_filled:
                    what = f"{seen.phase.name}, GPU {gpu} {way}"
                    verdicts.near(f"{what}, exporter PROF_PCIE_{way}_BYTES", mean, rates.gpm_pcie[way])
                    verdicts.near(f"{what}, exporter PCIE_{way}_THROUGHPUT", instant, rates.instant[way], 0.06)
                    overhead = rates.counted[way] / payload
                    verdicts.check(f"{what}, NVML counts {overhead:.3f} of it", is_right=1 <= overhead <= 1.15)
                values = (rates.counted[way], rates.instant[way], instant, rates.gpm_pcie[way], mean)
                cells = " | ".join(share(value, payload) for value in values)
                yield f"| {seen.phase.name} | {gpu} | {way} | {payload / 1e9:.2f} GB/s | {cells} |"


def link_table(page: Page, handles: Sequence[Any], verdicts: Verdicts) -> Iterator[str]:
    """Compare state and sums of errors of links, and print what NVML tells of their remote ends."""
    smi = nvidia_smi("nvlink", "-s").split("GPU ")[1:]
    yield "| GPU | links up | exporter | version | nvidia-smi | remote end |\n|---|---|---|---|---|---|"
    for gpu, handle in enumerate(handles):
        states = [pynvml.nvmlDeviceGetNvLinkState(handle, link) for link in LINKS]
        ours = page.values("DCGM_FI_DEV_NVLINK_LINK_STATUS", gpu)
        verdicts.check(
            f"GPU {gpu}: states {ours}, NVML {states}", is_right=[ours.get(str(link)) for link in LINKS] == states
        )
        versions = sorted({pynvml.nvmlDeviceGetNvLinkVersion(handle, link) for link in LINKS})
        speeds = sorted(set(re.findall(r"Link \d+: (.*)", smi[gpu])))
        ends = sorted(
            {
                f"type {pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, link)}, "
                f"{pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId}"
                for link in LINKS
            }
        )
        up = int(sum(ours.values()))
        yield f"| {gpu} | {sum(states)} | {up} | {versions} | {len(LINKS)} times {speeds} | {'; '.join(ends)} |"


ERRORS = {
    "REPLAY": pynvml.NVML_NVLINK_ERROR_DL_REPLAY,
    "RECOVERY": pynvml.NVML_NVLINK_ERROR_DL_RECOVERY,
    "CRC_FLIT": pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT,
    "CRC_DATA": pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA,
    "ECC": pynvml.NVML_NVLINK_ERROR_DL_ECC_DATA,
}
CORRECTED = ("CRC_DATA", "ECC")
"""What sound links of Hopper count as they carry data."""

Errors = Mapping[tuple[int, str], Sequence[int]]


def read_errors(handles: Sequence[Any]) -> Errors:
    """Return the errors of each link, by GPU and kind."""
    return {
        (gpu, kind): [pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, link, number) for link in LINKS]
        for gpu, handle in enumerate(handles)
        for kind, number in ERRORS.items()
    }


def error_table(page: Page, before: Errors, after: Errors, verdicts: Verdicts) -> Iterator[str]:
    """Compare errors: the exporter's are of the last minute, so they lie between NVML's before and after the loads."""
    yield "| counter | GPU | NVML before | NVML after | exporter, links added up | exporter, of the GPU |"
    yield "|---|---|---|---|---|---|"
    for (gpu, kind), old in before.items():
        new, name = after[gpu, kind], f"DCGM_FI_DEV_NVLINK_{kind}_ERROR"
        by_name = [page.one(f"{name}_L{link}_TOTAL", gpu) for link in LINKS] if kind != "ECC" else []
        labelled = page.values(f"{name}_PER_LINK_TOTAL", gpu)
        for ours in (by_name, [labelled[str(link)] for link in LINKS] if labelled else []):
            is_between = all(low <= value <= high for low, value, high in zip(old, ours, new, strict=False))
            verdicts.check(f"GPU {gpu} {kind}: {ours}, NVML {old} to {new}", is_right=is_between)
        if kind not in CORRECTED:
            verdicts.check(f"GPU {gpu} {kind}: {new}", is_right=not any(new))
        whole = page.values(f"{name}_TOTAL", gpu).get("", "none")
        links = f"{sum(by_name):.0f}" if by_name else ""
        yield f"| `{kind}` | {gpu} | {sum(old)} | {sum(new)} | {links} | {whole} |"


def p2p_table(page: Page, handles: Sequence[Any], verdicts: Verdicts) -> Iterator[str]:
    """Compare the paths between GPUs with NVML and nvidia-smi, in both directions."""
    rows = re.findall(r"^\s*GPU\d+\s+(.*)$", nvidia_smi("topo", "-p2p", "n"), re.MULTILINE)
    topology = re.findall(r"^\s*GPU\d+\s+(.*)$", nvidia_smi("topo", "-m"), re.MULTILINE)
    ours = {(int(labels["gpu"]), int(labels["peer_gpu"])): (value, labels["link_status"])
            for labels, value in page.labelled("DCGM_EXP_P2P_STATUS")}  # fmt: skip
    kinds = {"read": 0, "write": 1, "NVLink": 2, "atomics": 3, "PCI": 4}
    yield (
        f"| pair | NVML: {', '.join(kinds)} | nvidia-smi | exporter | mask | ancestor, nvidia-smi |\n"
        + "|---" * 6
        + "|"
    )
    for one, a in enumerate(handles):
        for other, b in enumerate(handles):
            if one == other:
                continue
            statuses = [pynvml.nvmlDeviceGetP2PStatus(a, b, index) for index in kinds.values()]
            mask = int(page.one("DCGM_FI_DEV_NVLINK_P2P_STATUS", one))
            smi = rows[one].split()[other]
            value, label = ours.get((one, other), (-1, ""))
            is_right = (value, label) == (statuses[2], "OK") and smi == "OK" and bool(mask >> other & 1)
            verdicts.check(f"{one} to {other}: {value} {label}, mask {mask}, NVML {statuses}", is_right=is_right)
            ancestor = pynvml.nvmlDeviceGetTopologyCommonAncestor(a, b)
            yield (
                f"| {one} to {other} | {', '.join(map(str, statuses))} | {smi} | {value:.0f} {label} | {mask:#b} "
                f"| {ancestor}, {topology[one].split()[other]} |"
            )
    verdicts.check(f"pairs {sorted(ours)}", is_right=len(ours) == len(handles) * (len(handles) - 1))


def health_line(page: Page, verdicts: Verdicts) -> Iterator[str]:
    """Show that the traffic makes no GPU unhealthy."""
    found = [(labels, value) for labels, value in page.labelled(HEALTH) if labels["health_watch"] == "NVLINK"]
    verdicts.check("no health of NVLINK", is_right=len(found) == len({labels["gpu"] for labels, _ in found}) > 0)
    for labels, value in found:
        verdicts.check(f"health of NVLINK, GPU {labels['gpu']}: {labels['health_error_code']}", is_right=value == 0)
        yield f"Health of `NVLINK`, GPU {labels['gpu']}: {value:.0f} {labels['health_error_code']}."


def nvidia_smi(*args: str) -> str:
    return subprocess.run(["nvidia-smi", *args], capture_output=True, text=True, check=True).stdout

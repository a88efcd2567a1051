"""What NVML itself says that NVLink and PCIe of GPUs carry, as rates between two moments. It knows no exporter."""

import time
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pynvml

WAYS = ("TX", "RX")
LINKS = range(18)
ALL = 0xFFFFFFFF
KIB, MIB = 2.0**10, 2.0**20

COUNTED_S = 3.0
COUNT_EVERY_S = 0.01
INSTANTS = 5

_COUNTERS = {
    (kind, way, link): (getattr(pynvml, f"NVML_FI_DEV_NVLINK_THROUGHPUT_{kind}_{way}"), link)
    for kind in ("DATA", "RAW")
    for way in WAYS
    for link in (ALL, *LINKS)
}
_PCIE = [getattr(pynvml, f"NVML_FI_DEV_PCIE_COUNT_{way}_BYTES") for way in WAYS]
_INSTANT = {way: getattr(pynvml, f"NVML_PCIE_UTIL_{way}_BYTES") for way in WAYS}
_GPM = {
    (bus, way): getattr(pynvml, f"NVML_GPM_METRIC_{bus}_{way}_PER_SEC")
    for bus in ("NVLINK_TOTAL", "PCIE")
    for way in WAYS
}

Span = tuple[float, float]
"""From when to when, by the wall clock."""


class Rates(NamedTuple):
    """Bytes a second of one GPU, by way.

    `data` is by link, too. GPM's are as DCGM makes bytes of them. `counted` is what the PCIe counters say that are read
    so often that they don't overflow unseen, `instant` the mean of what the driver counts in 20 ms, in 1000 bytes.
    """

    span: Span
    data: Mapping[str, Mapping[int, float]]
    raw: Mapping[str, float]
    gpm: Mapping[str, float]
    gpm_pcie: Mapping[str, float]
    counted_span: Span
    counted: Mapping[str, float]
    instant: Mapping[str, float]


class _Begun(NamedTuple):
    handle: Any
    links: Mapping[tuple[str, str, int], tuple[float, int]]
    sample: Any


class _Counted(NamedTuple):
    span: Span
    rates: Mapping[int, Mapping[str, float]]


class Readings(NamedTuple):
    """The first reading of each GPU, and what PCIe counted since then."""

    begun: Sequence[_Begun]
    counted: _Counted
    instants: Sequence[Mapping[str, float]]


def begin(handles: Sequence[Any]) -> Readings:
    """Read the counters for the first time; takes some seconds, in which PCIe is counted."""
    begun = [_Begun(handle, _links(handle), pynvml.nvmlGpmSampleGet(handle, pynvml.nvmlGpmSampleAlloc()))
             for handle in handles]  # fmt: skip
    instants = [{way: _instant(handle, number) for way, number in _INSTANT.items()} for handle in handles]
    return Readings(begun, _count(handles), instants)


def end(readings: Readings) -> dict[int, Rates]:
    """Read the counters again; returns the rates since then by GPU."""
    found = {}
    for gpu, begun in enumerate(readings.begun):
        newer = pynvml.nvmlGpmSampleGet(begun.handle, pynvml.nvmlGpmSampleAlloc())
        links = _links(begun.handle)
        gpm = _metrics(begun.sample, newer)
        rates = {key: _rate(begun.links[key], links[key]) for key in links}
        first, last = begun.links["DATA", "TX", ALL], links["DATA", "TX", ALL]
        found[gpu] = Rates(
            span=(first[0], last[0]),
            data={way: {link: rates["DATA", way, link] for link in (ALL, *LINKS)} for way in WAYS},
            raw={way: rates["RAW", way, ALL] for way in WAYS},
            gpm={way: gpm["NVLINK_TOTAL", way] for way in WAYS},
            gpm_pcie={way: gpm["PCIE", way] for way in WAYS},
            counted_span=readings.counted.span,
            counted=readings.counted.rates[gpu],
            instant=readings.instants[gpu],
        )
    return found


def moved(log: Sequence[Sequence[float]], span: Span) -> float:
    """Return the rate of a load within a span, in bytes a second; its log has times and what was moved until then."""
    return (_at(log, span[1]) - _at(log, span[0])) / (span[1] - span[0])


def _at(log: Sequence[Sequence[float]], at_s: float) -> float:
    after = min(max(bisect(log, at_s, key=lambda entry: entry[0]), 1), len(log) - 1)
    (earlier, before), (later, since) = log[after - 1], log[after]
    return before + (since - before) * (at_s - earlier) / (later - earlier)


def _links(handle: Any) -> dict[tuple[str, str, int], tuple[float, int]]:
    """Return when each counter of NVLink was read, in seconds, and its KiB."""
    # the driver reads on behind links (exporter/nvml/calls.py)
    *answers, _ = pynvml.nvmlDeviceGetFieldValues(handle, [*_COUNTERS.values(), pynvml.NVML_FI_DEV_MEMORY_TEMP])
    return {key: (one.timestamp / 1e6, one.value.ullVal) for key, one in zip(_COUNTERS, answers, strict=True)}


def _rate(old: tuple[float, int], new: tuple[float, int]) -> float:
    return (new[1] - old[1]) * KIB / (new[0] - old[0])


def _instant(handle: Any, number: int) -> float:
    found: list[int] = [pynvml.nvmlDeviceGetPcieThroughput(handle, number) for _ in range(INSTANTS)]
    return 1000 * sum(found) / INSTANTS


def _count(handles: Sequence[Any]) -> _Counted:
    """Add up the PCIe counters, which have 32 bits: at 60 GB/s they begin anew each 70 ms."""
    older = [_pcie(handle) for handle in handles]
    began = ended = time.time()
    bytes_moved = [dict.fromkeys(WAYS, 0) for _ in handles]
    while ended < began + COUNTED_S:
        time.sleep(COUNT_EVERY_S)
        ended = time.time()
        for gpu, handle in enumerate(handles):
            newer = _pcie(handle)
            for way, old, new in zip(WAYS, older[gpu], newer, strict=True):
                bytes_moved[gpu][way] += (new - old) % 2**32
            older[gpu] = newer
    seconds = ended - began
    rates = {gpu: {way: count / seconds for way, count in found.items()} for gpu, found in enumerate(bytes_moved)}
    return _Counted((began, ended), rates)


def _pcie(handle: Any) -> list[int]:
    return [answer.value.uiVal for answer in pynvml.nvmlDeviceGetFieldValues(handle, _PCIE)]


def _metrics(older: Any, newer: Any) -> dict[tuple[str, str], float]:
    """Return GPM's means between two samples, and free these."""
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version, request.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, len(_GPM)
    request.sample1, request.sample2 = older, newer
    for place, number in enumerate(_GPM.values()):
        request.metrics[place].metricId = number
    pynvml.nvmlGpmMetricsGet(request)
    for sample in (older, newer):
        pynvml.nvmlGpmSampleFree(sample)
    return {key: request.metrics[place].value * MIB for place, key in enumerate(_GPM)}

"""One row for each GPU and MIG instance of a page of metrics, in every spelling of names and labels that there is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from exporter.catalogue.clock_events import REASON_NAMES
from exporter.model import Holder
from exporter.scraping import ScrapedSeries

MIB = 1 << 20
FAILING = 20
"""From this value of GPU_HEALTH_STATUS on a watch fails; below it warns."""

_QUANTITIES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "DCGM_FI_DEV_GPU_UTIL": ("utilization", 1),
        "DCGM_FI_DEV_GPU_UTIL_RATIO": ("utilization", 100),
        "DCGM_FI_DEV_FB_USED": ("memory_used", MIB),
        "DCGM_FI_DEV_FB_USED_BYTES": ("memory_used", 1),
        "DCGM_FI_DEV_FB_RESERVED": ("memory_reserved", MIB),
        "DCGM_FI_DEV_FB_RESERVED_BYTES": ("memory_reserved", 1),
        "DCGM_FI_DEV_FB_FREE": ("memory_free", MIB),
        "DCGM_FI_DEV_FB_FREE_BYTES": ("memory_free", 1),
        "DCGM_FI_DEV_POWER_USAGE": ("power", 1),
        "DCGM_FI_DEV_BOARD_POWER_WATTS": ("power", 1),
        "DCGM_FI_DEV_GPU_TEMP": ("temperature", 1),
        "DCGM_FI_DEV_GPU_TEMP_CELSIUS": ("temperature", 1),
        "DCGM_FI_DEV_SM_CLOCK": ("sm_clock", 1e6),
        "DCGM_FI_DEV_SM_CLOCK_HERTZ": ("sm_clock", 1),
        "DCGM_FI_DEV_MEM_CLOCK": ("memory_clock", 1e6),
        "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ": ("memory_clock", 1),
        "gpu_exporter_busy_seconds_total": ("busy", 1),
        "gpu_exporter_observed_seconds_total": ("observed", 1),
        "gpu_exporter_graphics_active_seconds_total": ("graphics_active", 1),
        "gpu_exporter_profiling_observed_seconds_total": ("profiling_observed", 1),
    }
)
"""What a series is, and how much of the base unit one of its numbers is."""

_MOST_DIGITS = 18
"""Python reads no number of thousands of digits, and no GPU has one."""

_XID = "DCGM_FI_DEV_XID_ERRORS"
_CLOCK_REASONS = ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS")
_NO_POD = "no_pod"
_IDLE = "gpu_idle"
_HEALTH = "DCGM_EXP_GPU_HEALTH_STATUS"
_OWNER = "gpu_exporter_owner_info"
_BUILD = "gpu_exporter_build_info"
_UP = "gpu_exporter_gpu_up"

NAMES = frozenset({*_QUANTITIES, *_CLOCK_REASONS, _XID, _HEALTH, _OWNER, _BUILD, _UP})
"""All series that an overview reads."""


class RowKey(NamedTuple):
    """What a row is about; `instance` is the MIG GPU instance's id, "" for a whole GPU."""

    uuid: str
    instance: str


class Seconds(NamedTuple):
    """For how long an entity was busy, and for how long that was seen, since the exporter started."""

    busy: float
    observed: float


@dataclass(frozen=True, slots=True)
class EntityRow:
    """What one GPU or MIG instance does. Base units: percent, bytes, watts, degrees Celsius, hertz; None is unknown.

    `is_read` is False while the GPU is lost, hangs, was let go or is starting. `clocks_held_by` are the reasons for
    which its clocks are lower than they could be. `unowned` is why nobody is known to hold it, "" where it is free.
    """

    key: RowKey
    is_read: bool
    gpu: str
    profile: str
    model: str
    holders: tuple[Holder, ...]
    unowned: str
    utilization: float | None
    seconds: Seconds | None
    memory_used: float | None
    memory_total: float | None
    power: float | None
    temperature: float | None
    sm_clock: float | None
    memory_clock: float | None
    clocks_held_by: tuple[str, ...]
    xid: str
    failing: tuple[str, ...]
    warning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """All rows of a page, by GPU index and instance; `source` is nvml or mock."""

    host: str
    version: str
    source: str
    rows: tuple[EntityRow, ...]


def overview(series: Iterable[ScrapedSeries]) -> Overview:
    """Make the rows of a page's series."""
    found: defaultdict[RowKey, _EntitySeries] = defaultdict(_EntitySeries)
    build: Mapping[str, str] = {}
    host, unread = "", set()
    for one in series:
        if not isfinite(one.value):
            continue
        if one.name == _BUILD:
            build = one.labels
        elif one.name == _UP and not one.value:
            unread.add(one.labels.get("gpu", ""))
        uuid = _label(one.labels, "UUID", "uuid", "gpu_uuid")
        if one.name in NAMES and uuid:
            host = _label(one.labels, "Hostname", "hostname") or host
            found[RowKey(uuid, one.labels.get("GPU_I_ID", ""))].take(one)
    for gpu in unread - {one.labels.get("gpu", "") for one in found.values()}:  # nothing else is known of it
        found[RowKey(f"GPU {gpu}", "")].labels = {"gpu": gpu}
    rows = sorted((_row(key, one, unread) for key, one in found.items()), key=_order)
    return Overview(host, build.get("version", ""), build.get("source", ""), tuple(rows))


class _EntitySeries:
    """What the series of one entity say. Of several holders' series the largest value is the device's own."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.values: dict[str, float] = {}
        self.holders: dict[Holder, None] = {}
        self.unowned = ""
        self.clocks_held_by: tuple[str, ...] = ()
        self.xid = ""
        self.health: dict[str, float] = {}

    def take(self, one: ScrapedSeries) -> None:
        self.labels.update(one.labels)
        if pod := _label(one.labels, "pod", "pod_name"):
            namespace = _label(one.labels, "namespace", "pod_namespace")
            self.holders[Holder(namespace, pod, _label(one.labels, "container", "container_name"))] = None
        if one.name in _QUANTITIES:
            quantity, unit = _QUANTITIES[one.name]
            self.values[quantity] = max(one.value * unit, self.values.get(quantity, 0))
        elif one.name in _CLOCK_REASONS:
            reasons = (name for bit, name in REASON_NAMES.items() if int(one.value) & bit)
            self.clocks_held_by = tuple(name for name in reasons if name != _IDLE)
        elif one.name == _XID and one.value:
            self.xid = f"{one.value:.0f} {one.labels.get('err_msg', '')}".strip()
        elif one.name == _HEALTH and one.value:
            self.health[f"{one.labels.get('health_watch')}: {one.labels.get('health_error_code')}"] = one.value
        elif one.name == _OWNER:
            reason = one.labels.get("reason", "")
            self.unowned = "" if reason == _NO_POD else reason


def _row(key: RowKey, found: _EntitySeries, unread: set[str]) -> EntityRow:
    values, gpu = found.values, found.labels.get("gpu", "")
    used, free, reserved = (values.get(f"memory_{part}") for part in ("used", "free", "reserved"))
    return EntityRow(
        key,
        is_read=gpu not in unread,
        gpu=gpu,
        profile=found.labels.get("GPU_I_PROFILE", ""),
        model=_label(found.labels, "modelName", "model_name"),
        holders=tuple(found.holders),
        unowned="" if found.holders else found.unowned,
        utilization=values.get("utilization"),
        seconds=_seconds(values, "busy", "observed") or _seconds(values, "graphics_active", "profiling_observed"),
        memory_used=used,
        memory_total=None if used is None or free is None else used + free + (reserved or 0),
        power=values.get("power"),
        temperature=values.get("temperature"),
        sm_clock=values.get("sm_clock"),
        memory_clock=values.get("memory_clock"),
        clocks_held_by=found.clocks_held_by,
        xid=found.xid,
        failing=tuple(name for name, value in found.health.items() if value >= FAILING),
        warning=tuple(name for name, value in found.health.items() if value < FAILING),
    )


def _seconds(values: Mapping[str, float], busy: str, observed: str) -> Seconds | None:
    if busy in values and observed in values:
        return Seconds(values[busy], values[observed])
    return None


def _order(row: EntityRow) -> tuple[int, str, int]:
    return _number(row.gpu), row.gpu, _number(row.key.instance)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else -1


def _label(labels: Mapping[str, str], *names: str) -> str:
    return next((labels[name] for name in names if name in labels), "")

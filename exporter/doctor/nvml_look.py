"""What NVML says on this machine, asked in a thread: a call that never returns costs the answer, and nothing else."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import NvmlError
from exporter.model import Entity, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, count_gpus, find_layout, select, unmatched_ids
from exporter.nvml.gpm import why_no_gpm
from exporter.nvml.session import end, start
from exporter.settings import Settings

DEADLINE_S = 15.0
"""How long NVML may take in all: starting it takes a second a GPU where persistence mode is off."""


@dataclass(slots=True)
class NvmlSeen:
    """What NVML has said; filled while it answers.

    Attributes:
        error: Why it does not start, or that it does not return.
        driver: The driver's release.
        models: By index, the model of each GPU that answers.
        silent: By index, why a GPU does not answer.
        entities: What pods can hold.
        unselected: Indices that are asked for, and that nothing has.
        selected: How many GPUs are exported, whole or in parts.
        without_gpm: By model, why it has no profiling.
    """

    error: NvmlError | None = None
    driver: str = ""
    models: dict[int, str] = field(default_factory=dict)
    silent: dict[int, Reason] = field(default_factory=dict)
    entities: tuple[Entity, ...] = ()
    unselected: frozenset[int] = frozenset()
    selected: int = 0
    without_gpm: dict[str, Reason] = field(default_factory=dict)


def look_at_nvml(library: Any, settings: Settings, deadline_s: float = DEADLINE_S) -> NvmlSeen:
    """Return what NVML says, or has said when the time is over."""
    seen = NvmlSeen()
    thread = threading.Thread(target=_look, args=(library, settings, seen), name="look at NVML", daemon=True)
    thread.start()
    thread.join(deadline_s)
    if thread.is_alive():
        seen.error = NvmlError(f"NVML has not answered within {deadline_s:.0f} s")
    return seen


def _look(library: Any, settings: Settings, seen: NvmlSeen) -> None:
    try:
        start(library)
    except NvmlError as error:
        seen.error = error
        return
    calls = Calls(library)
    driver = calls("nvmlSystemGetDriverVersion")
    seen.driver = "of an unknown release" if isinstance(driver, Reason) else str(driver)
    count = count_gpus(calls)
    if isinstance(count, Reason):
        seen.error = NvmlError(f"NVML can't count the GPUs: {count}")
        return
    layouts: dict[int, Layout] = {}
    for index in range(count):
        layout = find_layout(calls, index)
        if isinstance(layout, Reason):
            seen.silent[index] = layout
        else:
            layouts[index] = layout
            seen.models[index] = layout.whole.entity.gpu.model
    seen.entities = tuple(
        target.entity for layout in layouts.values() for target in (layout.instances or (layout.whole,))
    )
    _look_at_selected(calls, layouts, settings, seen)
    end(library)


def _look_at_selected(calls: Calls, layouts: Mapping[int, Layout], settings: Settings, seen: NvmlSeen) -> None:
    devices = select(layouts, settings.devices)
    seen.selected = len(devices)
    seen.unselected = unmatched_ids(layouts, len(layouts) + len(seen.silent), settings.devices)
    for device in devices.values():
        why = why_no_gpm(calls, device)
        if why is not None:
            seen.without_gpm[device.gpu.model] = why

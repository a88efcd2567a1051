"""Recordings of this machine's GPUs, a file each."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.agent.recorder import Recorder
from exporter.agent.timed_library import TimedLibrary
from exporter.errors import ConfigError, NvmlError
from exporter.mock import MockNvml, load_scenario
from exporter.mock.recordings.recording_file import write_recording
from exporter.model import Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device, Layout, count_gpus, find_layout, select
from exporter.nvml.session import end, real_nvml, start
from exporter.settings import Settings

Wait = Callable[[float], bool]
"""Waits for some seconds; says whether the recording is to end."""


def record(settings: Settings, duration_s: float, out: Path, wait: Wait) -> str:
    """Record the GPUs that are selected, a frame an interval.

    Args:
        settings: Which GPUs, and how often.
        duration_s: For how long.
        out: The file; of several GPUs each has its index in the name.
        wait: Waits for the next frame; says whether the recording is to end early.

    Returns:
        What was written, a line for each file.

    Raises:
        ExporterError: There is no GPU that answers, or a file can't be written.
    """
    library: Any = real_nvml() if settings.mock is None else MockNvml(load_scenario(settings.mock), time)
    start(library)
    try:
        devices = _devices(library, settings)
        recorders = {
            index: Recorder(TimedLibrary(library), device, time, settings.collect_interval_s)
            for index, device in devices.items()
        }
        _take_frames(recorders.values(), duration_s, settings.collect_interval_s, wait)
        return "\n".join(_written(recorders, settings.collect_interval_s, out))
    finally:
        end(library)


def _take_frames(recorders: Collection[Recorder], duration_s: float, interval_s: float, wait: Wait) -> None:
    began = time.monotonic()
    frames = 1 + int(duration_s / interval_s)
    for number in range(1, frames + 1):
        for recorder in recorders:
            recorder.take_frame()
        if number == frames or wait(max(began + number * interval_s - time.monotonic(), 0.0)):
            break
    for recorder in recorders:
        recorder.close()


def _devices(library: Any, settings: Settings) -> dict[int, Device]:
    calls = Calls(library)
    count = count_gpus(calls)
    found = {} if isinstance(count, Reason) else {index: find_layout(calls, index) for index in range(count)}
    layouts = {index: layout for index, layout in found.items() if isinstance(layout, Layout)}
    devices = select(layouts, settings.devices)
    if not devices:
        raise NvmlError("no selected GPU answers")
    return devices


def _written(recorders: Mapping[int, Recorder], interval_s: float, out: Path) -> Iterator[str]:
    about = f"By gpu-metrics-exporter {__version__}, one frame every {interval_s:g} s."
    for index, recorder in recorders.items():
        path = _path(out, index, is_alone=len(recorders) == 1)
        recording = recorder.recording(about)
        try:
            write_recording(path, recording)
            size = path.stat().st_size
        except OSError as error:
            raise ConfigError(f"--out: can't write {path}: {error.strerror}") from error
        yield f"{path}: GPU {index}, {recording.model}, {len(recording.frames)} frames, {size / 1024:.0f} KiB"


def _path(path: Path, index: int, *, is_alone: bool) -> Path:
    """Return a GPU's file: its index stands before the suffixes where there are several."""
    if is_alone:
        return path
    name, _, suffixes = path.name.partition(".")
    return path.with_name(f"{name}-{index}.{suffixes}")

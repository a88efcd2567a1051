"""Recordings as files: text that a person can read and a mock can replay.

A recording is JSON lines, plain or gzip-compressed. The first line is the header; every further line is a frame: the
time in seconds and the quantities by name, in NVML's own units (`power_instant_mw`, `gpm.SM_OCCUPANCY`). A quantity
that had no value at a frame is absent from it (or null). Names that nobody knows are kept as they are: a newer
recorder may know more than an older reader. A frame may have `rings` beside its values, the header `texts` and `costs`.
This module knows nothing of NVML, of mocks or of scenarios.
"""

import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exporter.errors import ConfigError, RecordingError
from exporter.mock.recordings.recording import CallCost, Frame, Recording
from exporter.strict_json import load_json
from exporter.user_file import MIB, read_bytes, text_of

FORMAT = "gpu-recording"
VERSION = 1

MOST_BYTES = 32 * MIB
"""The largest recording that is read, compressed or not: ten hours, once a second, of all that a GPU answers."""

_GZIP_MAGIC = b"\x1f\x8b"


def read_recording(path: Path) -> Recording:
    """Read a recording from a file, compressed or not.

    Raises:
        RecordingError: The file can't be read, is damaged, or is of another version.
    """
    try:
        content = read_bytes(path, "recording", MOST_BYTES)
    except ConfigError as error:
        raise RecordingError(str(error)) from error
    return parse_recording(content, str(path))


def write_recording(path: Path, recording: Recording) -> None:
    """Write a recording; compressed where the file's name ends in .gz. The same recording gives the same bytes."""
    content = render_recording(recording).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, compresslevel=9, mtime=0)
    path.write_bytes(content)


def render_recording(recording: Recording) -> str:
    """Return a recording as JSON lines."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": recording.model,
        "driver": recording.driver,
        "recorded_on": recording.recorded_on,
        "about": recording.about,
        **({"texts": dict(recording.texts)} if recording.texts else {}),
    }
    if recording.costs:
        header["costs"] = {name: [cost.us, cost.cpu_us] for name, cost in recording.costs.items()}
    frames = (
        {"t_s": frame.t_s, "values": dict(frame.values), **({"rings": dict(frame.rings)} if frame.rings else {})}
        for frame in recording.frames
    )
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in (header, *frames))


def parse_recording(content: bytes, place: str) -> Recording:
    """Parse the bytes of a recording.

    Args:
        content: JSON lines, or the same compressed by gzip.
        place: What errors call it, usually the file's path.

    Raises:
        RecordingError: Names the place, the record (its line) and the field.
    """
    lines = list(_records(_text_of(content, place), place))
    if not lines:
        raise RecordingError(f"{place}: is empty; a recording begins with a header line")
    header, *records = lines
    _check_header(header, f"{place}: record 1")
    if not records:
        raise RecordingError(f"{place}: has a header and no frame")
    return Recording(
        model=_text(header, "model", f"{place}: record 1"),
        driver=_text(header, "driver", f"{place}: record 1"),
        recorded_on=_text(header, "recorded_on", f"{place}: record 1"),
        about=_text(header, "about", f"{place}: record 1"),
        frames=tuple(_frames(records, place)),
        texts=dict(_texts(header, f"{place}: record 1")),
        costs=dict(_costs(header, f"{place}: record 1")),
    )


def _text_of(content: bytes, place: str) -> str:
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"{place}: is damaged gzip: {error}") from error
    if len(content) > MOST_BYTES:
        raise RecordingError(f"{place}: a recording may have at most {MOST_BYTES // MIB} MiB uncompressed")
    try:
        return text_of(content, place)
    except ConfigError as error:
        raise RecordingError(str(error)) from error


def _records(text: str, place: str) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        try:
            record = load_json(line)
        except ValueError as error:
            raise RecordingError(f"{place}: record {number}: is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise RecordingError(f"{place}: record {number}: is {_kind(record)}, not an object")
        yield record


def _check_header(header: dict[str, Any], place: str) -> None:
    if header.get("format") != FORMAT:
        raise RecordingError(f'{place}: format: is {header.get("format")!r}, a recording says "{FORMAT}"')
    if header.get("version") != VERSION:
        raise RecordingError(f"{place}: version: is {header.get('version')!r}, this program reads {VERSION}")


def _text(header: dict[str, Any], field: str, place: str) -> str:
    value = header.get(field)
    if not isinstance(value, str):
        raise RecordingError(f"{place}: {field}: is {_kind(value)}, not text")
    return value


def _frames(records: list[dict[str, Any]], place: str) -> Iterable[Frame]:
    previous_s = -math.inf
    for number, record in enumerate(records, start=2):
        where = f"{place}: record {number}"
        t_s = _number(record.get("t_s"), f"{where}: t_s")
        if t_s is None or t_s <= previous_s:
            raise RecordingError(
                f"{where}: t_s: is {t_s}, but each frame must be later than the previous one ({previous_s})"
            )
        previous_s = t_s
        values = record.get("values")
        if not isinstance(values, dict):
            raise RecordingError(f"{where}: values: is {_kind(values)}, not an object")
        numbers = ((name, _number(value, f"{where}: {name}")) for name, value in values.items())
        rings = {
            name: tuple(_pairs(samples, f"{where}: rings.{name}"))
            for name, samples in _object(record, "rings", where).items()
        }
        yield Frame(t_s, {name: number for name, number in numbers if number is not None}, rings)


def _pairs(samples: object, place: str) -> Iterable[tuple[float, float]]:
    """Yield times and values of a list of pairs; each is later than the one before."""
    if not isinstance(samples, list):
        raise RecordingError(f"{place}: is {_kind(samples)}, not a list")
    previous_s = -math.inf
    for sample in samples:
        t_s, value = map(_certain, _pair(sample, place), (place, place))
        if t_s <= previous_s:
            raise RecordingError(
                f"{place}: has {t_s} after {previous_s}, but each sample must end later than the previous one"
            )
        previous_s = t_s
        yield t_s, value


def _pair(content: object, place: str) -> list[object]:
    if not isinstance(content, list) or len(content) != 2:  # noqa: PLR2004  (a pair)
        raise RecordingError(f"{place}: is {_kind(content)}, not a pair of numbers")
    return content


def _certain(value: object, place: str) -> float:
    number = _number(value, place)
    if number is None:
        raise RecordingError(f"{place}: has no number; expected one")
    return number


def _texts(header: dict[str, Any], place: str) -> Iterable[tuple[str, str]]:
    texts = _object(header, "texts", place)
    return ((name, _text(texts, name, f"{place}: texts")) for name in texts)


def _costs(header: dict[str, Any], place: str) -> Iterable[tuple[str, CallCost]]:
    for name, pair in _object(header, "costs", place).items():
        where = f"{place}: costs.{name}"
        us, cpu_us = map(_certain, _pair(pair, where), (where, where))
        if not 0 <= cpu_us <= us:
            raise RecordingError(f"{where}: is {pair}; expected microseconds, and at most as many of the CPU")
        yield name, CallCost(us, cpu_us)


def _object(record: dict[str, Any], field: str, place: str) -> dict[str, Any]:
    """Return an object that may be absent."""
    content = record.get(field)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecordingError(f"{place}: {field}: is {_kind(content)}, not an object")
    return content


def _number(value: object, place: str) -> float | None:
    """Return a finite number; None for null and NaN, which both mean that there was no value."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f"{place}: is {_kind(value)}, not a number")
    if value != value:  # noqa: PLR0124  (NaN; math.isnan overflows for large integers)
        return None
    if abs(value) > 2**64:
        raise RecordingError(f"{place}: is {value}, out of the range of any NVML quantity")
    return value


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return "absent" if value is None else names[type(value)]

"""The kinds of value that flags take: how a text is read, what help calls it, what an error asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from exporter.attribution.label_patterns import compile_pattern
from exporter.cli.go_flags import Arity
from exporter.go_values import MAX_INT64, parse_bool, parse_duration, parse_int
from exporter.settings import (
    LabelStyle,
    LogFormat,
    parse_busy_seconds,
    parse_configmap,
    parse_devices,
    parse_listen_address,
)

DAY_MS = 24 * 3600 * 1000
DEFAULT_MOCK = "h100-sxm"


@dataclass(frozen=True, slots=True)
class ValueType:
    """One kind of value.

    `read` raises ValueError with a reason, or with none where `accepts` says it all. `bare` is the text that
    a flag without a value stands for. The texts of a repeated list are joined by commas.
    """

    placeholder: str
    accepts: str
    read: Callable[[str], object]
    arity: Arity = Arity.VALUE
    bare: str = ""
    is_list: bool = False


def _whole_number(smallest: int, largest: int = MAX_INT64) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = parse_int(text)
        if not smallest <= number <= largest:
            raise ValueError
        return number

    return read


def _interval_s(text: str) -> float:
    return _whole_number(1, DAY_MS)(text) / 1000


def _some_duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError
    return seconds


def _choice(options: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        if text not in set(options):
            raise ValueError
        return options(text)

    return read


def _path(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _recording(text: str) -> str:
    if not text.endswith((".jsonl", ".jsonl.gz")):
        raise ValueError
    return text


def _items(text: str) -> tuple[str, ...]:
    return tuple(item for item in map(str.strip, text.split(",")) if item)


def _patterns(text: str) -> tuple[str, ...]:
    patterns = _items(text)
    for pattern in patterns:
        compile_pattern(pattern)
    return patterns


def _mock(text: str) -> str | None:
    try:
        return DEFAULT_MOCK if parse_bool(text) else None
    except ValueError:
        return _path(text)


def _gpu_id_type(text: str) -> str:
    if text not in ("uid", "device-name"):
        raise ValueError
    return text


def _dcgm_log_level(text: str) -> str:
    if text not in ("NONE", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "VERB"):
        raise ValueError
    return text


BOOL = ValueType("", "true or false", parse_bool, Arity.SWITCH, bare="true")
TEXT = ValueType("TEXT", "any text", str)
PATH = ValueType("PATH", "a path", _path)
RECORDING = ValueType("PATH", "a path that ends in .jsonl or .jsonl.gz", _recording)
OPTIONAL_PATH = ValueType("PATH", "a path", lambda text: text or None)
LIST = ValueType("LIST", "a comma-separated list", _items, is_list=True)
PATTERNS = ValueType("LIST", "comma-separated regular expressions", _patterns, is_list=True)
INTERVAL = ValueType("MS", f"a whole number of milliseconds from 1 to {DAY_MS}", _interval_s)
WINDOW = ValueType("MS", "a whole number of milliseconds above 0", _whole_number(1))
COUNT = ValueType("N", "a whole number, 0 or more", _whole_number(0))
PORT = ValueType("PORT", "a port from 0 to 65535", _whole_number(0, 0xFFFF))
DURATION = ValueType("DURATION", "a duration above 0 such as 500ms, 10s or 1m30s", _some_duration)
DURATION_OR_0 = ValueType("DURATION", "a duration such as 500ms, 10s or 1m30s, or 0", parse_duration)
ADDRESS = ValueType("HOST:PORT", "an address such as :9400, 127.0.0.1:9400 or [::1]:9400", parse_listen_address)
DEVICES = ValueType("DEVICES", "f, g, i, indices as in g:0,2-4 or i:0, or several of these joined by +", parse_devices)
BUSY_SECONDS = ValueType(
    "LIST",
    "a comma-separated list of gpu, memory, profiling, encoder and decoder, or none",
    parse_busy_seconds,
    is_list=True,
)
CONFIGMAP = ValueType("NAMESPACE:NAME", "NAMESPACE:NAME or none", parse_configmap)
GPU_ID_TYPE = ValueType("TYPE", "uid or device-name", _gpu_id_type)
LABEL_STYLE = ValueType("STYLE", "classic, 4.8.3 or 4.9", _choice(LabelStyle))
LOG_FORMAT = ValueType("FORMAT", "text or json", _choice(LogFormat))
DCGM_LOG_LEVEL = ValueType("LEVEL", "NONE, FATAL, ERROR, WARN, INFO, DEBUG or VERB", _dcgm_log_level)
MOCK = ValueType("PROFILE|FILE", "a profile or a scenario file", _mock, Arity.OPTIONAL, bare="true")

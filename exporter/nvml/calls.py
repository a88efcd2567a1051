"""One NVML call at a time: an answer or the reason for none, and how long it took.

The library is an object with pynvml's functions: the module `pynvml` itself, or the mock.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from ctypes import byref
from typing import Any, NamedTuple

import pynvml

from exporter.catalogue.convert import replaced
from exporter.catalogue.reading import Version
from exporter.model import Reason
from exporter.nvml.answers import REASONS, field_value, field_value_name, is_untouched, plain

log = logging.getLogger(__name__)

_ABSENT = frozenset({pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH})
"""Return codes by which a library says that it is older than what it was asked for."""

_NO_EVENT = ("nvmlEventSetWait_v2", pynvml.NVML_ERROR_TIMEOUT)
"""What each collection meets where no Xid has come, and no log need tell."""

_NO_LINKS = (pynvml.NVML_FI_DEV_MEMORY_TEMP, 0)
"""What ends a call whose last field value is of NVLinks, and nobody asked for. It costs the driver nothing.

Behind a last counter of NVLinks (138 to 141, 161 to 163) the driver reads on past the end of the array, and where an
older array of such counters lay there, it writes: the heap is spoilt, and the process dies some time later. Seen with
580.159.04 on two H200s with NVLink, 2026-11-29.
"""

DEVICE_GONE = frozenset({Reason.GPU_LOST, Reason.DRIVER_GONE})
"""Reasons after which no other call on the same device can work."""


Errors = tuple[tuple[int, Any], ...]
"""Return codes that are answers, each with what it says."""

FieldId = tuple[int, int]
"""A field value's number and its scope id, such as that of a link."""


class FieldAnswer(NamedTuple):
    """A field value's number, or why there is none, and the driver's clock in microseconds."""

    value: int | float | Reason
    at_us: int = 0


class Spent(NamedTuple):
    """How often something was asked for, and how many seconds that took in all."""

    times: int
    seconds: float


class Ledger:
    """What NVML's functions and field values have cost since the start. All threads write, any may read."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, spent: Iterable[tuple[str, float]]) -> None:
        """Note one use each, by NVML's name and its seconds."""
        with self._lock:
            for name, seconds in spent:
                self._counts[name] += 1
                self._seconds[name] += seconds  # type: ignore[assignment]  # a Counter adds floats as well

    def totals(self) -> dict[str, Spent]:
        """Return everything that was ever asked for, by name."""
        with self._lock:
            return {name: Spent(count, self._seconds[name]) for name, count in self._counts.items()}


class _Timed(NamedTuple):
    """What a call gave, how long it took, and whether the library or the binding lacks this version of it."""

    answer: Any | Reason
    seconds: float
    is_absent: bool


class Calls:
    """Makes NVML calls for one thread and keeps account of their number and their time.

    Attributes:
        spent_s: Seconds spent within NVML since the start; only ever grows.
        count: Calls made since the start; only ever grows.
        ledger: Where the cost is noted by name.
    """

    def __init__(self, library: Any, ledger: Ledger | None = None) -> None:
        self._library = library
        self.spent_s = 0.0
        self.count = 0
        self.ledger = ledger or Ledger()
        self._newest: dict[tuple[Version, ...], int] = {}
        self._answers: dict[tuple[Any, ...], Any] = {}

    def __call__(self, function: str, *args: Any, errors: Errors = ()) -> Any | Reason:
        """Call a function of NVML by pynvml's name.

        Args:
            function: The name.
            args: What it takes.
            errors: What return codes mean that are answers.

        Returns:
            What pynvml returns, with invalid UTF-8 replaced, or the reason why there is no answer. Whatever
            pynvml raises, as it may for a library or an answer that it does not expect, costs this call alone.
        """
        return self._noted(function, args, errors).answer

    def once(self, function: str, *args: Any, errors: Errors = ()) -> Any | Reason:
        """Call a function, or return what it answered already since `begin`, to the same handle and numbers."""
        key = (function, *(arg if isinstance(arg, int) else id(arg) for arg in args))
        if key not in self._answers:
            self._answers[key] = self(function, *args, errors=errors)
        return self._answers[key]

    def begin(self) -> None:
        """Forget what `once` has kept."""
        self._answers.clear()

    def fill(self, function: str, structures: Iterable[Callable[[], Any]], *args: Any) -> Any | Reason:
        """Call a function that fills a structure.

        Args:
            function: The name in pynvml.
            structures: Kinds of the structure, the newest first; the first one that the library knows is filled.
            args: What stands before the structure.

        Returns:
            The structure, or the reason why there is no answer.
        """
        answer: Any = Reason.NOT_SUPPORTED
        for kind in structures:
            structure = kind()
            answer = self(function, *args, byref(structure))
            if answer is not Reason.NOT_SUPPORTED:
                return answer if isinstance(answer, Reason) else structure
        return answer

    def newest(self, versions: tuple[Version, ...], *args: Any) -> Any | Reason:
        """Call the newest version of a function that the library has; which one it has is remembered.

        Args:
            versions: All versions, newest first.
            args: What stands before each version's own arguments.
        """
        for number in range(self._newest.get(versions, 0), len(versions)):
            function, own = versions[number]
            made = self._noted(function, (*args, *own))
            if not made.is_absent:
                self._newest[versions] = number
                return made.answer
        return Reason.NOT_SUPPORTED

    def field_values(self, device: Any, ids: tuple[FieldId, ...]) -> "list[FieldAnswer] | Reason":
        """Read several field values of a device in one call.

        A driver that refuses the call because of one of them is asked for each alone. What it leaves untouched among
        many is asked for again.

        Args:
            device: The device's handle.
            ids: Pairs of field id and scope id.

        Returns:
            For each id its value or the reason for none, with the driver's time of the reading; or one reason
            for all.

        Source: nvmlDeviceGetFieldValues.
        """
        answers, seconds, _ = self._timed("nvmlDeviceGetFieldValues", (device, _ended(ids)))
        if answers is Reason.NOT_SUPPORTED and len(ids) > 1:
            return self._in_parts(device, [[one] for one in ids])
        if isinstance(answers, Reason):
            return answers
        answers = plain(answers)[: len(ids)]
        latencies = [max(answer.latencyUsec, 0) + 1 for answer in answers]
        second_of_latency = seconds / sum(latencies)
        shares = (latency * second_of_latency for latency in latencies)
        self.ledger.add(zip((field_value_name(field_id) for field_id, _ in ids), shares, strict=True))
        found = [FieldAnswer(field_value(answer), answer.timestamp) for answer in answers]
        untouched = [at for at, answer in enumerate(answers) if is_untouched(answer)]
        again = [ids[at] for at in untouched]
        parts = [again] if len(again) < len(ids) else [[one] for one in ids]
        asked_again = (
            self._in_parts(device, parts) if len(ids) > 1 else [FieldAnswer(Reason.NOT_SUPPORTED)] * len(again)
        )
        for at, answer in zip(untouched, asked_again, strict=True):
            found[at] = answer
        return found

    def _in_parts(self, device: Any, parts: "list[list[FieldId]]") -> "list[FieldAnswer]":
        """Read field values in several calls; a reason for all of a call is one for each."""
        found: list[FieldAnswer] = []
        for part in filter(None, parts):
            answers = self.field_values(device, tuple(part))
            found += [FieldAnswer(answers)] * len(part) if isinstance(answers, Reason) else answers
        return found

    def _noted(self, function: str, args: tuple[Any, ...], errors: Errors = ()) -> _Timed:
        made = self._timed(function, args, errors)
        self.ledger.add(((function, made.seconds),))
        return made

    def _timed(self, function: str, args: tuple[Any, ...], errors: Errors = ()) -> _Timed:
        call = getattr(self._library, function, None)
        if call is None:
            return _Timed(Reason.NOT_SUPPORTED, 0.0, is_absent=True)
        is_absent = False
        started = time.perf_counter()
        try:
            answer = call(*args)
        except pynvml.NVMLError as error:
            if (function, error.value) != _NO_EVENT:
                log.debug("%s: NVML error %s", function, error.value)
            answer = dict(errors).get(error.value, REASONS.get(error.value, Reason.UNKNOWN))
            is_absent = error.value in _ABSENT
        except UnicodeDecodeError as error:
            answer = replaced(error)
        except Exception as error:  # noqa: BLE001 - whatever the binding raises costs this call alone
            log.debug("%s: %r", function, error)
            answer = Reason.UNREADABLE
        seconds = time.perf_counter() - started
        self.spent_s += seconds
        self.count += 1
        return _Timed(answer, seconds, is_absent)


def _ended(ids: tuple[FieldId, ...]) -> tuple[FieldId, ...]:
    return (*ids, _NO_LINKS) if "NVLINK" in field_value_name(ids[-1][0]) else ids

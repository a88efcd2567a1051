"""NVML with a watch beside it: what each function, and each field value, takes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from exporter.nvml.answers import field_value_name, plain


class CallTime(NamedTuple):
    """What one call took: seconds in all, and seconds of the calling thread's CPU."""

    seconds: float
    cpu_seconds: float


class TimedLibrary:
    """Stands where pynvml stands and notes what its functions take. For one thread.

    Attributes:
        spent: By name, each call's time, those of refused calls included. A call for several field values counts as one
            of each, which share its time as the driver's own latencies say.
    """

    def __init__(self, library: Any) -> None:
        self.spent: dict[str, list[CallTime]] = defaultdict(list)
        self._library = library

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._library, name)
        return partial(self._call, name, found) if name.startswith("nvml") and callable(found) else found

    def _call(self, name: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        answers: Any = ()
        began, cpu_began = time.perf_counter(), time.thread_time()
        try:
            answers = function(*args, **named)
        finally:
            spent = CallTime(time.perf_counter() - began, time.thread_time() - cpu_began)
            if name == "nvmlDeviceGetFieldValues":
                self._share(spent, plain(answers))
            else:
                self.spent[name].append(spent)
        return answers

    def _share(self, spent: CallTime, answers: Iterable[Any]) -> None:
        latencies = [(field_value_name(answer.fieldId), max(answer.latencyUsec, 0) + 1) for answer in answers]
        whole = sum(latency for _, latency in latencies)
        for name, latency in latencies:
            self.spent[name].append(CallTime(*(seconds * latency / whole for seconds in spent)))

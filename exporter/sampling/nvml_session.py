"""NVML as a whole: its start, the count of its GPUs and its end, each of which may never return, and what is wrong."""

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from exporter.errors import NvmlError
from exporter.model import Clock, Reason
from exporter.nvml import session
from exporter.nvml.calls import Calls
from exporter.nvml.entities import count_gpus
from exporter.sampling.own_thread import HANGING_AFTER_S, on_own_thread

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_S = 0.5


class NvmlSession:
    """Starts and ends NVML for one thread, the supervisor's, which `stopping` keeps from waiting.

    Attributes:
        is_started: Whether NVML is started.
        trouble: One sentence on what is wrong with NVML as a whole, empty if nothing is.
        has_failed: Whether that is a failure; a call that has not returned yet, and GPUs that were let go, are none.
    """

    def __init__(self, library: Any, clock: Clock, stopping: threading.Event, meanwhile: Callable[[], None]) -> None:
        """Start nothing yet; `meanwhile` is called again and again while a call does not return."""
        self.is_started = False
        self.trouble = ""
        self.has_failed = False
        self._library = library
        self._clock = clock
        self._stopping = stopping
        self._meanwhile = meanwhile
        self._calls = Calls(library)
        self._asked: Future[Any] | None = None

    def is_idle(self) -> bool:
        """Say whether none of the calls made here is under way."""
        return self._asked is None or self._asked.done()

    def start(self) -> str:
        """Start NVML if it is not; return what is wrong, empty if nothing is.

        Raises:
            RuntimeError: No thread can be started; so do the others.
        """
        if self.is_started:
            return ""
        trouble = self._ask("nvmlInit", self._start)
        self.is_started = trouble == ""
        return trouble or ""

    def count(self) -> int | str:
        """Return how many GPUs there are, more than none, or what is wrong."""
        count = self._ask("nvmlDeviceGetCount", partial(count_gpus, self._calls))
        if count is None or isinstance(count, Reason):
            return f"NVML can't count the GPUs: {count}"
        if count == 0:
            return (
                "NVML finds no GPU on this machine: check nvidia-smi -L; in a container, check that GPUs are passed in"
            )
        return count

    def end(self) -> None:
        """End NVML, which voids all handles."""
        self._ask("nvmlShutdown", partial(session.end, self._library))
        self.is_started = False

    def end_within(self, seconds: float) -> None:
        """End NVML for the last time, without a long wait; where no thread can be started, the process' end does it."""
        with contextlib.suppress(RuntimeError):
            wait([on_own_thread("nvml", partial(session.end, self._library))], seconds)

    def report(self, trouble: str, *, is_failure: bool = True) -> None:
        """Remember what is wrong, and say in the log what is new."""
        if trouble and trouble != self.trouble:
            log.log(logging.ERROR if is_failure else logging.WARNING, "%s", trouble)
        if self.trouble and not trouble:
            log.info("NVML works again")
        self.trouble, self.has_failed = trouble, bool(trouble) and is_failure

    def _ask(self, function: str, call: Callable[[], T]) -> T | None:
        """Make a call; return None if the thread is asked to stop first."""
        began = self._clock.monotonic()
        self._asked = asked = on_own_thread("nvml", call)
        while not self._stopping.is_set():
            wait([asked], POLL_S)
            if asked.done():
                return asked.result()
            self._meanwhile()
            if self._clock.monotonic() - began >= HANGING_AFTER_S:
                trouble = f"{function} does not return: the driver is starting or hanging; check nvidia-smi"
                self.report(trouble, is_failure=False)
        return None

    def _start(self) -> str:
        try:
            session.start(self._library)
        except NvmlError as error:
            return str(error)
        return ""

"""A look that is taken each interval, in a thread of its own, from `start` to `stop`."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

STOP_S = 1.0
"""How long a look that is under way may keep `stop` waiting."""


class Periodic:
    """Takes a look at once, and again after each pause.

    A look that raises is logged with its traceback, but only the first of several that fail alike one after the other.
    """

    def __init__(self, name: str, look: Callable[[], None], interval_s: float, if_it_fails: str) -> None:
        """Prepare the thread.

        Args:
            name: The thread's name.
            look: What is done each time.
            interval_s: The pause between two looks.
            if_it_fails: What the log says, before the traceback: what failed, and what holds until it works again.
        """
        self._look = look
        self._interval_s = interval_s
        self._if_it_fails = if_it_fails
        self._failure: type[Exception] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_failing(self) -> bool:
        """Tell whether the newest look has raised an exception."""
        return self._failure is not None

    @property
    def is_stopping(self) -> bool:
        """Tell whether no further look will be taken."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, interrupt: Callable[[], None] | None = None) -> None:
        """End the thread; returns within a second, also while a look hangs, and does nothing if it never ran.

        Args:
            interrupt: Ends a look that waits; called when no other one can begin.
        """
        self._stopping.set()
        if interrupt is not None:
            interrupt()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:
                if type(error) is not self._failure:
                    log.exception("%s", self._if_it_fails)
                self._failure = type(error)
            else:
                self._failure = None
            self._stopping.wait(self._interval_s)

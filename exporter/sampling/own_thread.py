"""Calls that may never return, each on a daemon thread of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

HANGING_AFTER_S = 3.0
"""After what time a call is taken for one that hangs; without persistence mode one may take a second or two."""


def on_own_thread(name: str, call: Callable[[], T]) -> Future[T]:
    """Begin a call.

    Args:
        name: Of the thread.
        call: What it does.

    Returns:
        What will tell whether it has ended, and what it returned or raised.

    Raises:
        RuntimeError: No thread can be started, as where a container's limit of processes (pids) is reached.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  (whoever asks for the result gets it)
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future

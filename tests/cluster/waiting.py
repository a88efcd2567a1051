"""Waiting for what must happen, with a deadline, and with what was seen last where it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.1

T = TypeVar("T")


class NotYet(Exception):
    """What is waited for has not happened; the text says what is there instead."""


def wait_for(what: str, look: Callable[[], T], within_s: float) -> T:
    """Call `look` until it no longer raises NotYet; returns its answer.

    Raises:
        TimeoutError: It did not happen in time; says what was seen last.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return look()
        except NotYet as seen:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{what} did not happen within {within_s:g} s; seen last: {seen}") from None
        time.sleep(POLL_S)

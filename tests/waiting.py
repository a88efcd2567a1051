"""The one way in which tests wait for what must happen: patiently, and with what was seen last where it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""How long a test waits for what must happen; it fails after that. A busy machine takes its time."""

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05

T = TypeVar("T")


class NotYet(Exception):
    """What is waited for has not happened; the text says what is there instead."""


def wait_for(what: str, look: Callable[[], T], within_s: float = PATIENCE_S) -> T:
    """Call `look` until it no longer raises NotYet; returns its answer.

    Raises:
        TimeoutError: It did not happen in time; says what was seen last.
    """
    deadline = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return look()
        except NotYet as seen:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{what} did not happen within {within_s:g} s; seen last: {seen}") from None
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def until(is_so: Callable[[], object], seen: Callable[[], object] = lambda: "nothing", what: str = "it") -> None:
    """Wait until a condition holds; where it does not, `seen` says what is there instead."""

    def look() -> None:
        if not is_so():
            raise NotYet(seen())

    wait_for(what, look)

"""The signals of a process that serves: each does something while it serves, and none does while it ends."""

import ctypes
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LATER = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that the command has made wait."""


@contextmanager
def signals_taken(actions: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Do what belongs to each signal while `with` lasts; those that have waited come at once."""
    for number in actions:
        signal.signal(number, lambda number, _: actions[signal.Signals(number)]())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LATER)
    try:
        yield
    finally:
        for number in actions:
            # First for the kernel alone: one that arrives within signal.signal would be reported with a traceback.
            ctypes.pythonapi.PyOS_setsig(number, ctypes.c_void_p(signal.SIG_IGN))
            signal.signal(number, signal.SIG_IGN)  # it ends already; Python's own end would give them back

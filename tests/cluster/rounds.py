"""What is done again and again beside a test, in a thread of its own."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Rounds:
    """Calls a function each period while `with` lasts. What the function raises ends it, and the `with` with it."""

    def __init__(self, name: str, period_s: float, once: Callable[[], object]) -> None:
        self._period_s = period_s
        self._once = once
        self._error: BaseException | None = None
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        self._thread.join()
        if error is None:
            self.must_run()

    def must_run(self) -> None:
        """Raise what has ended it, if it has ended."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._is_ending.wait(self._period_s):
                self._once()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for what it does
            self._error = error

"""What is done again and again beside a test, in a thread of its own."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Rounds(ABC):
    """Does its round each period while `with` lasts."""

    def __init__(self, name: str, period_s: float) -> None:
        self.period_s = period_s
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

    @abstractmethod
    def _round(self) -> None:
        """Do it once."""

    def _run(self) -> None:
        while not self._is_ending.wait(self.period_s):
            self._round()

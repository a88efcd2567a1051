"""What kubelet itself said, and when: the truth that an exporter's labels are held against."""

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from podresources.allocations import Allocations
from podresources.client import PodResourcesClient
from podresources.errors import PodResourcesError
from tests.cluster.rounds import Rounds
from tests.waiting import NotYet


@dataclass(frozen=True, slots=True)
class Answer:
    """What kubelet answered once, or why it did not. Times are of the monotonic clock."""

    asked: float
    answered: float
    allocations: Allocations | None
    error: str = ""


class Recorder:
    """Asks kubelet ten times a second while `with` lasts, on a thread and a connection of its own."""

    def __init__(self, kubelet_socket: Path, period_s: float = 0.1) -> None:
        self.period_s = period_s
        self._rounds = Rounds("recorder", period_s, self._record)
        self._client = PodResourcesClient(kubelet_socket)
        self._answers: list[Answer] = []

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers so far, oldest first."""
        return tuple(self._answers)

    def must_hear(self) -> None:
        """Raise NotYet unless kubelet's newest answer is a good one."""
        if not self._answers or self._answers[-1].allocations is None:
            raise NotYet(str(self._answers[-1:]))

    def must_hear_nothing(self) -> None:
        """Raise NotYet while kubelet answers."""
        if not self._answers or self._answers[-1].allocations is not None:
            raise NotYet(str(self._answers[-1:]))

    def true_between(self, start: float, end: float) -> tuple[Allocations, ...]:
        """Return every allocation that held at some time in a span, as far as kubelet has said.

        That is each good answer within the span, and the last one before it: it held until the next. Where kubelet was
        silent, its last good answer holds. What is told here can be older by one period than what kubelet knew, so end
        a span that much later.
        """
        good = [answer for answer in self.answers if answer.allocations is not None and answer.asked <= end]
        before = [answer for answer in good if answer.answered < start][-1:]
        within = [answer for answer in good if answer.answered >= start]
        return tuple(answer.allocations for answer in before + within if answer.allocations is not None)

    def __enter__(self) -> Self:
        self._rounds.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._rounds.__exit__(kind, error, trace)
        finally:
            self._client.close()

    def _record(self) -> None:
        self._answers.append(self._ask())

    def _ask(self) -> Answer:
        asked = time.monotonic()
        try:
            allocations = self._client.list()
        except PodResourcesError as error:
            return Answer(asked, time.monotonic(), None, str(error))
        return Answer(asked, time.monotonic(), allocations)

"""How often the API server is asked, so that many nodes together are no burden."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the API server is asked, in seconds.

    Attributes:
        first_s: The first pause between attempts; each later one is twice as long.
        longest_s: The longest pause while the API server does not answer.
        longest_without_right_s: The longest pause while it refuses to.
        watch_s: A watch is asked to end after this time, or up to twice that.
        fruitful_s: A watch that lasts so long is worth another one at once, even if it tells nothing.
        silence_s: After such a silence a watch that has brought bookmarks is dead. kube-apiserver sends one each
            minute, and two may be missed; where it sends none, the watch is only asked for again.
        relist_s: How long a watch without bookmarks is believed, before a new list shows what it may have missed.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    longest_without_right_s: float = 300.0
    watch_s: int = 300
    fruitful_s: float = 1.0
    silence_s: float = 150.0
    relist_s: float = 300.0


NORMAL_PACE = Pace()


class Backoff:
    """The pauses between attempts that lead to nothing, spread so that many nodes do not ask at once."""

    def __init__(self, first_s: float) -> None:
        self._first_s = self._pause_s = first_s

    def reset(self) -> None:
        """Start over after a success."""
        self._pause_s = self._first_s

    def next_s(self, longest_s: float) -> float:
        """Return the seconds to wait before the next attempt, at most `longest_s`."""
        pause_s = min(self._pause_s, longest_s)
        self._pause_s = 2 * pause_s
        return pause_s * random.uniform(0.5, 1)  # noqa: S311

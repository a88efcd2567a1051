"""The table that a run prints at its end: case, expected, seen, seconds."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.waiting import NotYet, wait_for

Expected = str | re.Pattern[str]
Look = Callable[[], str]

_WIDTHS = (46, 34, 60)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of it."""

    case: str
    expected: str
    seen: str
    seconds: float
    is_met: bool


class Table:
    """All lines, in the order in which they were seen."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def becomes(self, case: str, expected: Expected, look: Look, within_s: float) -> str:
        """Wait until what is seen is what is expected, the whole of it; returns it.

        Args:
            case: What this is about.
            expected: A text, or a pattern of it.
            look: Returns what is there now; raises NotYet where it can't say.
            within_s: The deadline.

        Raises:
            TimeoutError: It did not happen; says what was seen last.
        """
        last = "nothing"

        def see() -> str:
            nonlocal last
            try:
                last = look()
            except NotYet as error:
                last = str(error)
                raise
            if not _fits(expected, last):
                raise NotYet(last)
            return last

        with self._row(case, expected, lambda: last):
            return wait_for(f"{case}: {_text(expected)}", see, within_s)

    def stays(self, case: str, expected: Expected, look: Look, for_s: float) -> None:
        """See the same again and again for a while.

        Raises:
            AssertionError: Something else was there once; says what.
        """
        last = "nothing"
        with self._row(case, f"{_text(expected)}, for {for_s:g} s", lambda: last):
            end = time.monotonic() + for_s
            while time.monotonic() < end:
                last = _seen(look)
                assert _fits(expected, last), f"{case}: {last}, not {_text(expected)}"
                time.sleep(0.2)

    def is_(self, case: str, expected: Expected, seen: str) -> None:
        """Compare what was seen."""
        with self._row(case, expected, lambda: seen):
            assert _fits(expected, seen), f"{case}: {seen}, not {_text(expected)}"

    def took(self, case: str, seconds: float) -> None:
        """Note how long something took that had no choice but to happen."""
        self.rows.append(Row(case, "", "", seconds, is_met=True))

    def lines(self) -> list[str]:
        """Return the table as text."""
        head = ("case", "expected", "seen")
        found = [_line(head, "seconds", " "), _line(tuple("-" * width for width in _WIDTHS), "-------", " ")]
        for row in self.rows:
            cells = (row.case, row.expected, row.seen)
            found.append(_line(cells, f"{row.seconds:7.1f}", " " if row.is_met else "✗"))
        return found

    def _row(self, case: str, expected: Expected, last: Look) -> "_RowBeingMade":
        return _RowBeingMade(self.rows, case, _text(expected), last)


class _RowBeingMade:
    def __init__(self, rows: list[Row], case: str, expected: str, last: Look) -> None:
        self._rows = rows
        self._case = case
        self._expected = expected
        self._last = last

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = time.monotonic() - self._began
        self._rows.append(Row(self._case, self._expected, self._last(), seconds, kind is None))


def _seen(look: Look) -> str:
    try:
        return look()
    except NotYet as error:
        return str(error)


def _fits(expected: Expected, seen: str) -> bool:
    return expected == seen if isinstance(expected, str) else expected.fullmatch(seen) is not None


def _text(expected: Expected) -> str:
    return expected if isinstance(expected, str) else f"/{expected.pattern}/"


def _line(cells: tuple[str, ...], last: str, mark: str) -> str:
    short = [
        cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(cells, _WIDTHS, strict=True)
    ]
    return " ".join([mark, *(f"{cell:{width}}" for cell, width in zip(short, _WIDTHS, strict=True)), last])

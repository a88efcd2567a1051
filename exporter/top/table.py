"""The table: which columns a width has room for, and the content of each cell."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from exporter.view.overview import EntityRow, Overview
from exporter.view.true_load import LoadHistory

GIB = 1 << 30
SPARKS = "▁▂▃▄▅▆▇█"
SHOWN_LOADS = 12
"""How many looks of the history are drawn."""

_NOTHING = "-"


class Column(NamedTuple):
    """One column, and the narrowest terminal that has it."""

    head: str
    from_width: int
    cell: Callable[[EntityRow, tuple[float, ...]], Text]
    is_number: bool = False


def table(overview: Overview, history: LoadHistory, width: int) -> Table:
    """Make the table for a terminal of so many columns."""
    columns = [column for column in COLUMNS if width >= column.from_width]
    made = Table(box=box.SIMPLE_HEAD, expand=False, pad_edge=False, padding=(0, 1))
    for column in columns:
        made.add_column(column.head, justify="right" if column.is_number else "left", overflow="ellipsis")
    for row in overview.rows:
        loads = history.of(row.key)
        made.add_row(*(column.cell(row, loads) for column in columns))
    return made


def plain(text: str) -> str:
    """Return a text of which no character steers a terminal: labels of pods are anybody's."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _name(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    instance = f"/{row.key.instance} {row.profile}" if row.key.instance else ""
    return Text(plain(f"{row.gpu}{instance}"))


def _model(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    return Text(plain(row.model).removeprefix("NVIDIA "))


def _holders(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    if row.holders:
        return Text("\n".join(f"{plain(one.namespace)}/{plain(one.pod)}" for one in row.holders))
    why = f"not known: {plain(row.unowned)}" if row.unowned else ""
    return Text(why or _NOTHING, style="dim")


def _load(row: EntityRow, loads: tuple[float, ...]) -> Text:
    if loads:
        return _percent(loads[-1])
    return _percent(row.utilization) if row.utilization is not None else Text(_NOTHING, style="dim")


def _percent(load: float) -> Text:
    return Text(f"{load:.0f}%")


def _history(_row: EntityRow, loads: tuple[float, ...]) -> Text:
    heights = (min(len(SPARKS) - 1, int(load * len(SPARKS) / 100)) for load in loads[-SHOWN_LOADS:])
    return Text("".join(SPARKS[height] for height in heights), style="green")


def _memory(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    if row.memory_used is None:
        return Text(_NOTHING, style="dim")
    total = "" if row.memory_total is None else f"/{row.memory_total / GIB:.0f}"
    return Text(f"{row.memory_used / GIB:.1f}{total} GiB")


def _number(value: float | None, unit: str, scale: float = 1) -> Text:
    return Text(_NOTHING, style="dim") if value is None else Text(f"{value / scale:.0f} {unit}")


def _clocks(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    text = _number(row.sm_clock, "MHz", 1e6)
    return text.append(f"/{row.memory_clock / 1e6:.0f}") if row.memory_clock is not None else text


def _trouble(row: EntityRow, _loads: tuple[float, ...]) -> Text:
    return Text("\n").join(_troubles(row)) if any(_troubles(row)) else Text("")


def _troubles(row: EntityRow) -> Iterator[Text]:
    if not row.is_read:
        yield Text("not read", style="bold red")
    if row.xid:
        yield Text(f"Xid {plain(row.xid)}", style="bold red")
    yield from (Text(_watch(watch), style="bold red") for watch in row.failing)
    yield from (Text(_watch(watch), style="yellow") for watch in row.warning)
    yield from (Text(f"clocks: {reason}", style="yellow") for reason in row.clocks_held_by)


def _watch(text: str) -> str:
    return plain(text).replace("DCGM_FR_", "")


COLUMNS = (
    Column("GPU", 0, _name),
    Column("Model", 140, _model),
    Column("Held by", 0, _holders),
    Column("Load", 0, _load, is_number=True),
    Column("", 70, _history),
    Column("Memory", 60, _memory, is_number=True),
    Column("Power", 80, lambda row, _: _number(row.power, "W"), is_number=True),
    Column("Temp", 90, lambda row, _: _number(row.temperature, "°C"), is_number=True),
    Column("Clocks", 110, _clocks, is_number=True),
    Column("Trouble", 50, _trouble),
)

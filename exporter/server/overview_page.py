"""The page at /: what each GPU does and for whom, and why a value is missing, for a person with a browser.

It is made of the metrics in memory when somebody asks for it, so it costs nothing while nobody does.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tornado.template import Loader

from exporter.exposition import Format
from exporter.model import AskedNames, Clock, Entity, GpuState, Page, Reason
from exporter.scraping import parse_page
from exporter.server.endpoints import Health
from exporter.view.overview import NAMES, EntityRow, overview
from exporter.view.true_load import KEPT, LoadHistory

GIB = 1 << 30
MOST_HOLDERS = 8
"""How many containers are named per GPU."""

SHORTEST_LIFE_S = 1.0
"""The page is rendered at most once in this time, however many clients ask."""

_TEMPLATE = "overview.html"
_MEANINGS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NOT_SUPPORTED: "This GPU or its driver does not support it",
        Reason.NOT_PERMITTED: "Only root may read it",
        Reason.NO_SAMPLE_YET: "No sample yet: it needs a second reading or a new sample from the driver",
        Reason.NOT_A_NUMBER: "The driver's answer is not a number",
        Reason.OUT_OF_RANGE: "The driver's answer is out of range",
        Reason.UNREADABLE: "The driver's answer can't be read",
        Reason.GPU_LOST: "The GPU is lost",
        Reason.DRIVER_GONE: "The driver is not loaded",
        Reason.TIMEOUT: "The driver is not responding",
        Reason.NO_THREAD: "No thread for this GPU: the limit of processes is reached",
        Reason.RELEASED: "The exporter has released the GPUs (SIGUSR1)",
        Reason.UNKNOWN: "The driver returned an unknown error",
    }
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page is made of; each callable answers at once."""

    page: Callable[[Format, AskedNames], Page]
    states: Callable[[], tuple[GpuState, ...]]
    health: Callable[[], Health]
    ready: Callable[[], Health]
    printed_name: Callable[[str], str]
    version: str


class MissingFields(NamedTuple):
    """Fields that the same GPUs and MIG instances lack for the same reason; `where` is "" where all lack them."""

    reason: str
    where: str
    fields: tuple[str, ...]


class _MissingField(NamedTuple):
    """A field that something lacks for a reason."""

    reason: Reason
    is_of_link: bool
    field: str


class OverviewPage:
    """The page, made again at most once a second."""

    def __init__(self, shown: Shown, clock: Clock) -> None:
        self._shown = shown
        self._clock = clock
        self._template = Loader(str(Path(__file__).parent), autoescape="xhtml_escape").load(_TEMPLATE)
        self._history = LoadHistory()
        self._made = b""
        self._expires = float("-inf")

    def html(self) -> bytes:
        """Return the page as UTF-8. Its links are relative, so that they survive a proxy's path prefix."""
        now = self._clock.monotonic()
        if now >= self._expires:
            self._made, self._expires = self._make(), now + SHORTEST_LIFE_S
        return self._made

    def _make(self) -> bytes:
        shown = self._shown
        found = overview(parse_page(shown.page(Format.TEXT, NAMES).text.decode()))
        self._history.look(found)
        return self._template.generate(
            overview=found,
            loads=self._history.of,
            missing=tuple(missing_fields(shown.states(), shown.printed_name)),
            health=shown.health(),
            ready=shown.ready(),
            version=shown.version,
            KEPT=KEPT - 1,
            MOST_HOLDERS=MOST_HOLDERS,
            gib=_gib,
            name=_name,
            nobody=_nobody,
            number=_number,
            points=_points,
        )


def missing_fields(states: Iterable[GpuState], printed_name: Callable[[str], str]) -> Iterator[MissingFields]:
    """Yield what has no value now, with the names under which fields are printed."""
    entities: set[Entity] = set()
    lacking: defaultdict[_MissingField, set[Entity]] = defaultdict(set)
    for state in states:
        if state.snapshot is None:
            continue
        entities.update(state.entities)
        for missing in state.snapshot.missing:
            is_of_link = missing.entity.link is not None
            who = Entity(missing.entity.gpu) if is_of_link else missing.entity  # a GPU has many links
            lacking[_MissingField(missing.reason, is_of_link, printed_name(missing.field))].add(who)
    fields: defaultdict[tuple[Reason, bool, frozenset[Entity]], list[str]] = defaultdict(list)
    for lack, found in lacking.items():
        fields[lack.reason, lack.is_of_link, frozenset(found)].append(lack.field)
    order = list(Reason)
    for reason, is_of_link, without in sorted(fields, key=lambda group: (order.index(group[0]), -len(group[2]))):
        where = "" if without >= entities else _names(without)
        names = tuple(sorted(fields[reason, is_of_link, without]))
        yield MissingFields(_MEANINGS[reason], f"NVLinks of {_names(without)}" if is_of_link else where, names)


def _names(entities: Iterable[Entity]) -> str:
    """Return names such as "GPU 0, GPU 2 (1, 5)": a GPU as a whole, and instances of one."""
    instances: defaultdict[int, list[int]] = defaultdict(list)
    for entity in entities:
        ids = instances[entity.gpu.index]
        if entity.instance is not None:
            ids.append(entity.instance.gpu_instance_id)
    parts = (f" ({', '.join(map(str, sorted(ids)))})" if ids else "" for _, ids in sorted(instances.items()))
    return ", ".join(f"GPU {index}{part}" for index, part in zip(sorted(instances), parts, strict=True))


def _name(row: EntityRow) -> str:
    return f"GPU {row.gpu}" + (f", {row.profile} ({row.key.instance})" if row.key.instance else "")


def _nobody(row: EntityRow) -> str:
    return f"not known: {row.unowned}" if row.unowned else "nobody"


def _gib(value: float) -> str:
    return f"{value / GIB:.1f} GiB"


def _number(value: float | None, unit: float, name: str) -> str:
    return "–" if value is None else f"{value / unit:.0f} {name}"  # noqa: RUF001 - a dash stands for no value


def _points(loads: tuple[float, ...]) -> str:
    first = KEPT - len(loads)
    return " ".join(f"{first + place},{100 - load:.0f}" for place, load in enumerate(loads))

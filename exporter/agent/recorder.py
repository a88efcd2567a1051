"""A recorder of one GPU: asks what the catalogue asks, as often as it asks, and keeps what a mock needs to answer it.

Who and where the GPU is does not get into a recording: no UUID, serial number, bus address, host or process.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import UUID

from exporter.agent.timed_library import CallTime, TimedLibrary
from exporter.catalogue import CATALOGUE
from exporter.catalogue.reading import COLLECTION, LINKS, SLOW, Call, FieldValue, Scope, Tracked, Tracker
from exporter.mock.calls.answers import quantities_of, quantity_of_metric, text_of
from exporter.mock.calls.field_values import is_of_links, quantity_of_field, recorded_fields
from exporter.mock.calls.tables import PEER_STATUSES, RINGS
from exporter.mock.machine.replay import is_total
from exporter.mock.recordings.recording import CallCost, Frame, Recording
from exporter.model import Clock, Reason
from exporter.nvml.calls import Calls, FieldId
from exporter.nvml.entities import Device
from exporter.nvml.gpm import GpmSamples, TakenSample, why_no_gpm
from exporter.nvml.links import peer_statuses
from exporter.nvml.rings import read_ring

NO_SERIAL = "1650000000000"
NO_CLUSTER = str(UUID(int=0xA0B1C2D3E4F5))
"""What stands for identifiers, so that a replay answers where the GPU did."""

_CALLS = tuple(reading for reading in CATALOGUE if isinstance(reading, Call))


class Recorder:
    """Reads one GPU. Used by one thread.

    Args:
        library: NVML, started.
        device: The GPU.
        clock: Monotonic and wall time; the recording begins with the first frame.
        interval_s: The time from one frame to the next.
    """

    def __init__(self, library: TimedLibrary, device: Device, clock: Clock, interval_s: float) -> None:
        self._library = library
        self._calls = Calls(library)
        self._device = device
        self._clock = clock
        self._interval_s = interval_s
        self._began = (clock.monotonic(), clock.time())
        self._frames: list[Frame] = []
        self._last: dict[str, float] = {}
        self._texts: dict[str, str] = {}
        self._due: dict[object, float] = {}
        self._newest_us = dict.fromkeys(RINGS, round(clock.time() * 1e6))
        self._links = [link for link in LINKS if self._has_link(link)]
        self._fields = tuple(_field_periods(self._links))
        self._metrics = () if why_no_gpm(self._calls, device) else tuple(_metrics())
        self._samples = GpmSamples(self._calls, device, None, clock)
        self._newest: TakenSample | Reason = Reason.NO_SAMPLE_YET

    def take_frame(self) -> None:
        """Read everything that is due, and keep what has changed since it was read before."""
        self._calls.begin()
        began_s = round(self._clock.monotonic() - self._began[0], 6)
        values = {
            **self._from_fields(began_s),  # first: what grows is divided by the time between frames
            **self._from_gpm(),
            **self._from_calls(began_s),
            **dict(self._from_peers(began_s)),
            **({"nvlinks": float(len(self._links))} if not self._frames else {}),
        }
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        news = {name: value for name, value in values.items() if is_total(name) or self._last.get(name) != value}
        self._last |= values
        self._frames.append(Frame(began_s, news, dict(self._from_rings())))

    def recording(self, about: str) -> Recording:
        """Return what was recorded; there must be a frame."""
        model, driver = self._calls("nvmlDeviceGetName", self._device.handle), self._calls("nvmlSystemGetDriverVersion")
        return Recording(
            model=str(model),
            driver=str(driver),
            recorded_on=datetime.fromtimestamp(self._began[1], UTC).date().isoformat(),
            about=about,
            frames=tuple(self._frames),
            texts=self._texts,
            costs={name: _cost(spent) for name, spent in sorted(self._library.spent.items())},
        )

    def close(self) -> None:
        """Give what is held back to the driver."""
        self._samples.close()

    def _has_link(self, link: int) -> bool:
        return not isinstance(self._calls("nvmlDeviceGetNvLinkState", self._device.handle, link), Reason)

    def _is_due(self, question: object, period_s: float, now_s: float) -> bool:
        """Say whether a question is to be asked now, and remember that it is."""
        if now_s < self._due.get(question, now_s):
            return False
        self._due[question] = now_s + period_s - self._interval_s / 2
        return True

    def _from_gpm(self) -> Mapping[str, float]:
        """Return GPM's means since the frame before; none at the first."""
        if not self._metrics:
            return {}
        older = self._newest
        self._newest = self._samples.take([] if isinstance(older, Reason) else [older])
        if isinstance(older, Reason) or isinstance(self._newest, Reason):
            return {}
        answers = self._samples.metrics(older, self._newest, self._metrics)
        if isinstance(answers, Reason):
            return {}
        found = zip(self._metrics, answers, strict=True)
        return {quantity_of_metric(metric): value for metric, value in found if not isinstance(value, Reason)}

    def _from_calls(self, now_s: float) -> Mapping[str, float]:
        values: dict[str, float] = {}
        for number, call in enumerate(_CALLS):
            if self._is_due(("call", number), _period_s(call), now_s):
                for prefix in self._prefixes(call.scope):
                    values |= self._answered(call, prefix)
        return values

    def _prefixes(self, scope: Scope) -> Iterable[tuple[Any, ...]]:
        """Return the first arguments of each call."""
        if scope is Scope.SYSTEM:
            return [()]
        if scope in {Scope.LINK, Scope.ALL_LINKS}:
            return [(self._device.handle, link) for link in self._links]
        return [(self._device.handle,)]

    def _answered(self, call: Call, prefix: tuple[Any, ...]) -> Mapping[str, float]:
        own = (*prefix, *call.args)
        args = own if call.scope is Scope.SYSTEM else own[1:]
        if call.fills:
            answer = self._calls.fill(call.function, call.fills, *own)
        elif call.older:
            answer = self._calls.newest(call.versions, *prefix)
        else:
            answer = self._calls.once(call.function, *own, errors=call.errors)
        if isinstance(answer, Reason):
            return {}
        text = text_of(call.function, args)
        if text:
            self._texts[text] = str(answer)
        elif call.function == "nvmlDeviceGetSerial":
            self._texts["serial"] = NO_SERIAL
        elif any(bytes(getattr(answer, "clusterUuid", b""))):
            self._texts["cluster_uuid"] = NO_CLUSTER
        return quantities_of(call.function, args, answer)

    def _from_fields(self, now_s: float) -> Mapping[str, float]:
        due = tuple(one for one, period_s in self._fields if self._is_due(one, period_s, now_s))
        answers = self._calls.field_values(self._device.handle, due)
        if isinstance(answers, Reason):
            return {}
        found = ((one, answer.value) for one, answer in zip(due, answers, strict=True))
        return {quantity_of_field(*one): value for one, value in found if not isinstance(value, Reason)}

    def _from_peers(self, now_s: float) -> Iterator[tuple[str, float]]:
        """Yield the status of the way to each other GPU, by its index."""
        for capability, quantity in PEER_STATUSES.items():
            if self._is_due(("peers", capability), SLOW, now_s):
                statuses = peer_statuses(self._calls, self._device.handle, self._device.gpu.index, capability)
                for index, status in {} if isinstance(statuses, Reason) else statuses.items():
                    yield f"{quantity}.{index}", status

    def _from_rings(self) -> Iterator[tuple[str, tuple[tuple[float, float], ...]]]:
        for kind, quantity in RINGS.items():
            samples = read_ring(self._calls, self._device, kind, self._newest_us[kind])
            if samples and not isinstance(samples, Reason):
                self._newest_us[kind] = samples[-1].at_us
                ends = (round(sample.at_us / 1e6 - self._began[1], 3) for sample in samples)
                yield quantity, tuple(zip(ends, (sample.percent for sample in samples), strict=True))


def _field_periods(links: list[int]) -> Iterator[tuple[FieldId, float]]:
    """Yield the field values that are read, with scope ids, each with its period; of links, each one's."""
    periods: dict[int, float] = dict.fromkeys(recorded_fields(), COLLECTION)
    scopes: dict[int, int] = {}
    for reading in CATALOGUE:
        if isinstance(reading, FieldValue):
            periods[reading.field_id] = _period_s(reading)
            scopes[reading.field_id] = reading.scope_id
        elif isinstance(reading, Tracked) and reading.tracker is Tracker.RATES:
            periods |= dict.fromkeys(reading.source[1:], COLLECTION)
    for field_id, period_s in periods.items():
        own = links if is_of_links(field_id) else [scopes.get(field_id, 0)]
        yield from (((field_id, scope), period_s) for scope in own)


def _period_s(reading: Call | FieldValue) -> float:
    """Return how often a reading is recorded: what accumulates in each frame, so that its growth has its time."""
    return COLLECTION if reading.accumulates else reading.period


def _metrics() -> Iterator[int]:
    readings = (one for one in CATALOGUE if isinstance(one, Tracked) and one.tracker is Tracker.GPM)
    yield from dict.fromkeys(metric for reading in readings for metric in reading.source)


def _cost(spent: list[CallTime]) -> CallCost:
    us = round(median(one.seconds for one in spent) * 1e6, 1)
    return CallCost(us, min(us, round(median(one.cpu_seconds for one in spent) * 1e6, 1)))

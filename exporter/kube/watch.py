"""A watch: one list, then one request that tells of each change, in a thread of its own.

It keeps what it knew last while the API server is silent, and logs when it begins to fail and when it works again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Generic, TypeVar

from exporter.errors import ExporterError, KubeError
from exporter.kube.connection import ApiServer, Lines
from exporter.kube.pace import NORMAL_PACE, Backoff, Pace
from exporter.kube.resources import (
    Event,
    Key,
    Resource,
    Selection,
    WatchLimits,
    find_selection,
    open_watch,
    parse_event,
    read_all,
)
from exporter.model import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

STOP_S = 1.0

_FOR_THE_ADMINISTRATOR = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""What ends by somebody's hand only: a missing right, an API that is not served."""


class Watch(Generic[T]):
    """Follows the objects of a resource from `start` to `stop`.

    `connect` may fail, and is called again after each failure.
    """

    def __init__(
        self,
        resource: Resource[T],
        connect: Callable[[], ApiServer],
        clock: Clock = time,
        pace: Pace = NORMAL_PACE,
    ) -> None:
        self._resource = resource
        self._connect = connect
        self._clock = clock
        self._pace = pace
        self._backoff = Backoff(pace.first_s)
        self._items: dict[Key, T] = {}
        self._latest: Mapping[Key, T] | None = None
        self._heard_at: float | None = None
        self._version = self._listed_version = "0"
        self._is_listed = False
        self._proven_at = float("-inf")  # when a list or a bookmark showed that nothing was missed
        self._failing_since: float | None = None
        self._failures: set[int | None] = set()
        self._lines: Lines | None = None
        self._lock = threading.Lock()  # over _lines and the stop
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {resource.plural}", daemon=True)

    def latest(self) -> Mapping[Key, T] | None:
        """Return all objects as they were last known, which never changes afterwards; None before the first answer."""
        return self._latest

    @property
    def heard_at(self) -> float | None:
        """Return when the API server last said something of the objects (monotonic seconds); None before it did."""
        return self._heard_at

    @property
    def is_current(self) -> bool:
        """Tell whether the objects were listed and nothing is known to keep their changes from coming."""
        return self._latest is not None and self._failing_since is None

    @property
    def failing_since(self) -> float | None:
        """Return since when changes don't come, in seconds since the epoch; None while they do."""
        return self._failing_since

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns within a second, whatever the API server does."""
        with self._lock:
            self._stopping.set()
            if self._lines is not None:
                self._lines.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._connect() as server:
                    self._follow(server)
            except ExporterError as error:
                self._fail(error)
            except Exception as error:
                log.exception("%s: the watch failed and is restarted", self._resource.called)
                self._is_listed = False
                self._fail(ExporterError(f"unexpected: {error!r}"))

    def _follow(self, server: ApiServer) -> None:
        """List and watch until something goes wrong. A watch that ends or breaks resumes where it was."""
        selection = find_selection(server, self._resource)
        while not self._stopping.is_set():
            if not self._is_listed:
                self._list(server, selection)
            try:
                is_fruitful = self._listen(server, selection)
            except KubeError as error:
                if error.status != HTTPStatus.GONE:
                    raise
                log.debug("%s: listed again: %s", self._resource.called, error)
                self._is_listed = False
                if self._version == self._listed_version:  # a list has just given a version that is too old
                    self._version = ""
                is_fruitful = False
            if is_fruitful:
                self._backoff.reset()
            else:
                self._stopping.wait(self._backoff.next_s(self._pace.longest_s))

    def _list(self, server: ApiServer, selection: Selection) -> None:
        try:
            listed = read_all(server, selection, self._resource, self._version)
        except KubeError as error:
            if error.status in {HTTPStatus.GONE, HTTPStatus.GATEWAY_TIMEOUT}:  # this server never had that version
                self._version = ""
            raise
        self._version = self._listed_version = listed.version
        self._items = listed.items
        self._latest = MappingProxyType(self._items.copy())
        self._heard_at = self._proven_at = self._clock.monotonic()
        self._is_listed = True

    def _listen(self, server: ApiServer, selection: Selection) -> bool:
        """Follow one watch to its end; tell whether it was worth it, so that the next one may begin at once.

        Raises:
            KubeError: It was refused, is none, or its connection is dead.
        """
        opened = self._clock.monotonic()
        is_fruitful = has_bookmarks = False
        limits = WatchLimits(round(self._pace.watch_s * random.uniform(1, 2)), self._pace.silence_s)  # noqa: S311
        with self._kept(open_watch(server, selection, self._resource, self._version, limits)) as lines:
            self._recover()
            for line in lines:
                is_fruitful = True
                has_bookmarks |= self._take(parse_event(line, self._resource, server.host))
                if not has_bookmarks and self._is_list_due():
                    break
        if has_bookmarks and lines.fell_silent:
            self._backoff.reset()
            raise KubeError(
                f"the watch received nothing for {limits.silence_s:.0f} s, not even bookmarks: the connection is"
                " dead and is replaced"
            )
        self._is_listed = has_bookmarks or not self._is_list_due()
        return is_fruitful or self._clock.monotonic() - opened >= self._pace.fruitful_s

    def _is_list_due(self) -> bool:
        return self._clock.monotonic() - self._proven_at >= self._pace.relist_s

    def _take(self, event: Event[T]) -> bool:
        """Follow a change; tell whether it is a bookmark."""
        self._version = event.version
        self._heard_at = self._clock.monotonic()
        if event.key is None:
            self._proven_at = self._heard_at
            return True
        if self._items.get(event.key) != event.item:
            if event.item is None:
                del self._items[event.key]
            else:
                self._items[event.key] = event.item
            self._latest = MappingProxyType(self._items.copy())
        return False

    @contextmanager
    def _kept(self, lines: Lines) -> Iterator[Lines]:
        """Hold the lines where `stop` finds them, and close them."""
        try:
            with self._lock:
                self._lines = lines
                if self._stopping.is_set():
                    lines.stop()
            yield lines
        finally:
            with self._lock:
                self._lines = None
            lines.close()

    def _recover(self) -> None:
        if self._failing_since is not None:
            failed_s = self._clock.time() - self._failing_since
            log.info("%s: the API server answers again after %.0f s", self._resource.called, failed_s)
            self._proven_at = self._clock.monotonic()  # it has what was missed, and tells that first
        self._failing_since = None
        self._failures.clear()

    def _fail(self, error: ExporterError) -> None:
        """Say so, once for each kind of failure, and wait for the next attempt."""
        if self._stopping.is_set():
            return
        status = error.status if isinstance(error, KubeError) else None
        if status not in self._failures:
            log.warning("%s: %s", self._resource.called, self._advised(error, status))
        self._failures.add(status)
        if self._failing_since is None:
            self._failing_since = self._clock.time()
        pace = self._pace
        longest_s = pace.longest_without_right_s if status in _FOR_THE_ADMINISTRATOR else pace.longest_s
        self._stopping.wait(self._backoff.next_s(longest_s))

    def _advised(self, error: ExporterError, status: int | None) -> str:
        if status != HTTPStatus.FORBIDDEN:
            return str(error)
        group = f" of API group {self._resource.group}" if self._resource.group else ""
        return f"{error}; grant the service account list and watch on {self._resource.plural}{group}"

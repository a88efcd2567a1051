"""ResourceClaims: which devices a claim only looks at. kubelet lists admin access as it lists possession."""

import logging
import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from exporter.attribution.claims import DRA_DRIVER, AdminAccess
from exporter.attribution.resource_slices import GROUP, VERSIONS
from exporter.errors import ExporterError, KubeError
from exporter.kube import GARBAGE, NORMAL_PACE, ApiServer, Backoff, Key, Pace, find_version, no_api_server
from exporter.model import Clock
from podresources.periodic import Periodic

log = logging.getLogger(__name__)

INTERVAL_S = 0.5


class ResourceClaims:
    """Reads each claim that kubelet lists, once: what a claim was given does not change while a pod uses it."""

    def __init__(
        self,
        connect: Callable[[], ApiServer],
        listed: Callable[[], Collection[Key]],
        clock: Clock = time,
        pace: Pace = NORMAL_PACE,
    ) -> None:
        """Prepare the thread.

        Args:
            connect: Connects to the API server.
            listed: Returns the claims that kubelet lists.
            clock: The clock.
            pace: How often the API server is asked again where it does not answer.
        """
        self._connect = connect
        self._listed = listed
        self._clock = clock
        self._pace = pace
        self._backoff = Backoff(pace.first_s)
        self._retry_at = float("-inf")
        self._read: dict[Key, frozenset[tuple[str, str]]] = {}
        self._latest: AdminAccess = MappingProxyType({})
        self._is_failing = False
        self._periodic = Periodic("resource claims", self.look, INTERVAL_S, "reading ResourceClaims failed")

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._periodic.start()

    def stop(self) -> None:
        """End within a second."""
        self._periodic.stop()

    def latest(self) -> AdminAccess:
        """Return what each claim that kubelet lists only looks at; a claim is not in it before it was asked for.

        A claim that can't be read has what it was given, as most claims have.
        """
        return self._latest

    @property
    def is_current(self) -> bool:
        """Tell whether all claims could be read that were asked for."""
        return not self._is_failing

    def look(self) -> None:
        """Ask for the claims that are new, unless the API server has just refused."""
        listed = frozenset(self._listed())
        self._read = {claim: found for claim, found in self._read.items() if claim in listed}
        new = listed - self._read.keys()
        if new and self._clock.monotonic() >= self._retry_at:
            try:
                self._ask(new)
            except ExporterError as error:
                self._fail(error)
            else:
                self._backoff.reset()
        unread = new - self._read.keys()
        self._is_failing = self._is_failing and bool(unread)
        given = dict.fromkeys(unread if self._is_failing else (), frozenset[tuple[str, str]]())
        self._latest = MappingProxyType({**given, **self._read})

    def _ask(self, claims: Collection[Key]) -> None:
        with self._connect() as server:
            root = find_version(server, GROUP, VERSIONS)
            for namespace, name in sorted(claims):
                path = f"{root}/namespaces/{quote(namespace, safe='')}/resourceclaims/{quote(name, safe='')}"
                try:
                    self._read[namespace, name] = _parse(server.get(path), server.host)
                except KubeError as error:
                    if error.status != HTTPStatus.NOT_FOUND:  # it was deleted, and its pod is about to end
                        raise
                    self._read[namespace, name] = frozenset()

    def _fail(self, error: ExporterError) -> None:
        self._retry_at = self._clock.monotonic() + self._backoff.next_s(self._pace.longest_s)
        if not self._is_failing:
            log.warning(
                "ResourceClaims: %s; claims with admin access count as owners until they can be read; grant the"
                " service account get on resourceclaims of API group %s",
                error,
                GROUP,
            )
        self._is_failing = True


def _parse(claim: Any, host: str) -> frozenset[tuple[str, str]]:
    """Return pool and name of each device that a claim was given by admin access."""
    try:
        results = ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results") or ()
        return frozenset(
            (str(result["pool"]), str(result["device"]))
            for result in results
            if result["driver"] == DRA_DRIVER and result.get("adminAccess") is True
        )
    except GARBAGE:
        raise no_api_server(host) from None

"""Wires the exporter together and runs it: the only place where all parts meet."""

import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.agent import conditions
from exporter.agent.counters_in_force import CountersInForce
from exporter.agent.first_look import found_gpus
from exporter.agent.inputs import counters_place, counters_source
from exporter.agent.options import label_options, limits, readings, sampling
from exporter.agent.ownership import Devices, Ownership, quiet_grpc
from exporter.agent.signals import signals_taken
from exporter.agent.web_config_in_force import WebConfigInForce
from exporter.agent.whereabouts import Whereabouts, find_whereabouts
from exporter.attribution.owners import OWNER_INFO
from exporter.catalogue import OWN_SERIES, busy_seconds
from exporter.errors import ExporterError, given_by
from exporter.exposition import Format
from exporter.labels import LabelCache
from exporter.model import AskedNames, Page
from exporter.pages import Content, Pages
from exporter.sampling.failures import Failures
from exporter.sampling.plan import Plan, plan
from exporter.sampling.supervisor import Supervisor
from exporter.server.app import MetricsServer
from exporter.server.endpoints import Handlers
from exporter.server.listening import systemd_sockets
from exporter.server.overview_page import OverviewPage, Shown
from exporter.settings import ListenAddress, Settings
from exporter.telemetry import Telemetry, TelemetrySources

if TYPE_CHECKING:
    from exporter.agent.mock_machine import MockMachine

log = logging.getLogger(__name__)

NO_THREAD = "can't start a thread: raise this container's limit of processes (pids)"


class Agent:
    """One exporter with its settings, made but not started."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Make all parts in the order in which data flows: read all files, and open the port last.

        Raises:
            ExporterError: A file, the scenario or the address can't be used.
        """
        self._must_find_gpus = not (
            settings.disable_startup_validate or settings.kubernetes or "KUBERNETES_SERVICE_HOST" in environ
        )
        self._is_stopping = False
        self._mock = _mock_machine(settings)
        self._settings = settings = _with_mock_pods(settings, self._mock)
        # What is asked for.
        self._readings = readings(settings)
        self._counters = self._read_counters()
        self._web_config = self._read_web_config()
        # NVML -> snapshots.
        self._failures = Failures(self._counters.printed_name)
        self._sampling = sampling(settings, self._mock.nvml if self._mock else None)
        self._supervisor = Supervisor(self._sampling, self._plan(), self._failures)
        # kubelet, the API server and job files -> owners.
        self._ownership = self._find_owners(find_whereabouts(environ, settings.hostname))
        # Snapshots and owners -> text.
        content = Content(self._supervisor.states, self._ownership.attribution, self._counters.counters)
        labels = LabelCache(label_options(settings))
        self._pages = Pages(content, Telemetry(self._own_news()), labels, time)
        # Text -> HTTP.
        self._server = MetricsServer(self._handlers(), limits(settings), self._web_config.config)
        self._listen(environ)

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the counters again, SIGUSR1 lets go of all GPUs until SIGUSR2.

        Returns:
            False if GPUs must be there and NVML does not find them; the log has said why.

        Raises:
            ConfigError: GPUs must be there, and none has an index that is asked for.
            ExporterError: No thread can be started.
        """
        actions = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._counters.ask,
            signal.SIGUSR1: self._supervisor.let_go,
            signal.SIGUSR2: self._supervisor.take_again,
        }
        try:
            with signals_taken(actions):
                return self._serve()
        finally:
            self._counters.stop()
            self._web_config.stop()
            self._ownership.stop()
            self._supervisor.stop()
            if self._mock:
                self._mock.stop()

    def _serve(self) -> bool:
        """Start, and serve until `_stop`; False without the GPUs that must be there."""
        self._start()
        if self._must_find_gpus and not found_gpus(self._supervisor, self._settings, lambda: self._is_stopping):
            return False
        gc.collect()
        gc.freeze()
        self._server.run()
        log.info("received a signal to end")
        return True

    def _start(self) -> None:
        """Begin everything that has threads: the GPUs last, as their threads alone are tried again.

        Raises:
            ExporterError: There are too many processes.
        """
        try:
            if self._mock:
                self._mock.start(self._ownership.holders)
            self._ownership.start()
            self._counters.start()
            self._web_config.start()
            self._supervisor.start()
        except RuntimeError as error:
            raise ExporterError(NO_THREAD) from error

    def _stop(self) -> None:
        self._is_stopping = True
        self._server.stop()

    def _read_counters(self) -> CountersInForce:
        own = (*OWN_SERIES, OWNER_INFO, *busy_seconds.series(self._settings.busy_seconds))
        with given_by(counters_place(self._settings)):
            return CountersInForce(counters_source(self._settings), own, self._follow_counters, time)

    def _read_web_config(self) -> WebConfigInForce:
        with given_by(self._settings.place("web-config-file")):
            return WebConfigInForce(self._settings.web_config_file, time)

    def _follow_counters(self) -> None:
        self._supervisor.follow(self._plan())

    def _plan(self) -> Plan:
        return plan({counter.field for counter in self._counters.counters()}, self._readings)

    def _find_owners(self, where: Whereabouts) -> Ownership:
        socket = Path(self._settings.pod_resources_socket)
        if self._mock and self._mock.socket:  # whose kubelet knows the mock's pods alone
            socket, where = self._mock.socket, replace(where, pod=None)
        devices = Devices(self._supervisor.states, self._supervisor.holdable)
        return Ownership(self._settings, devices, socket, where)

    def _own_news(self) -> TelemetrySources:
        return TelemetrySources(
            version=__version__,
            source="nvml" if self._mock is None else "mock",
            states=self._supervisor.states,
            nvml_works=self._supervisor.nvml_works,
            released=self._supervisor.has_let_go,
            failures=self._failures.totals,
            spent=self._sampling.ledger.totals,
            scrapes=lambda: asdict(self._server.counts),
            reloaded=self._counters.reloaded,
            web_config_reloaded=self._web_config.reloaded,
            owner_news=self._ownership.news,
            job_news=self._ownership.job_news,
        )

    def _handlers(self) -> Handlers:
        supervisor, owners = self._supervisor, self._ownership
        health = partial(conditions.health, supervisor, owners.summary, require_gpus=self._settings.health_require_gpus)
        ready = partial(conditions.ready, supervisor, owners.settled, owners.summary)
        shown = Shown(self._pages.page, supervisor.states, health, ready, self._counters.printed_name, __version__)
        return Handlers(self._page, health, ready, landing=OverviewPage(shown, time).html)

    def _page(self, form: Format, names: AskedNames) -> Page:
        """Return a page, and let those who collect know what was asked for and when."""
        counters = self._counters.counters()
        fields = None if names is None else frozenset(c.field for c in counters if c.is_asked_for(names))
        if fields is None or fields:
            self._sampling.scrapes.came(time.monotonic(), fields)
        return self._pages.page(form, names)

    def _listen(self, environ: Mapping[str, str]) -> None:
        if self._settings.systemd_socket:
            self._server.adopt(systemd_sockets(environ, os.getpid()))
            log.info("serving %s on systemd's socket", self._web_config.scheme())
            return
        host, port = self._settings.address
        with given_by(self._settings.place("address")):
            bound = ListenAddress(host or "localhost", self._server.listen(host or None, port))
        log.info("serving %s/metrics", bound.url(self._web_config.scheme()))


def _mock_machine(settings: Settings) -> "MockMachine | None":
    if settings.mock is None:
        log.info("gpu-metrics-exporter %s looks for real GPUs through NVML", __version__)
        return None
    quiet_grpc()
    from exporter.agent.mock_machine import MockMachine  # noqa: PLC0415  (memory that real nodes need not spend)

    with given_by(settings.place("mock")):
        machine = MockMachine(settings)
    log.warning("gpu-metrics-exporter %s serves MOCK GPUs of %s, not real ones", __version__, settings.mock)
    return machine


def _with_mock_pods(settings: Settings, mock: "MockMachine | None") -> Settings:
    """Show a mock's pods unless somebody has said whether they are to be shown."""
    if mock is None or not mock.has_pods or "kubernetes" in settings.given:
        return settings
    log.info("the mock has pods, so -k is on; turn it off with -k=false")
    return replace(settings, kubernetes=True)

"""Wires the exporter together and runs it: the only place where all parts meet."""

import ctypes
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
from exporter.agent.inputs import counters_place, counters_source
from exporter.agent.ownership import Devices, Ownership, quiet_grpc
from exporter.agent.web_config_in_force import WebConfigInForce
from exporter.agent.whereabouts import find_whereabouts
from exporter.attribution.owners import OWNER_INFO
from exporter.catalogue import OWN_SERIES, busy_seconds, catalogue
from exporter.errors import ConfigError, ExporterError, given_by
from exporter.exposition import Format
from exporter.labels import LabelCache, LabelOptions
from exporter.model import AskedNames, Page
from exporter.nvml.session import driver_gpus, real_nvml
from exporter.pages import Content, Pages
from exporter.sampling.failures import Failures
from exporter.sampling.plan import Plan, plan
from exporter.sampling.supervisor import Sampling, Supervisor
from exporter.server.app import MetricsServer
from exporter.server.connections import Limits
from exporter.server.endpoints import Handlers
from exporter.server.listening import systemd_sockets
from exporter.server.overview_page import OverviewPage, Shown
from exporter.settings import ListenAddress, Settings
from exporter.telemetry import Telemetry, TelemetrySources

if TYPE_CHECKING:
    from exporter.agent.mock_machine import MockMachine

log = logging.getLogger(__name__)

SCAN_S = 5.0
FIRST_LOOK_S = 30.0
LATER = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
"""Signals that the command has made wait."""

NO_THREAD = "can't start a thread: raise this container's limit of processes (pids)"

DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")


class Agent:
    """One exporter with its settings, made but not started."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Read all files and open the port.

        Raises:
            ExporterError: A file, the scenario or the address can't be used.
        """
        self._must_find_gpus = not (
            settings.disable_startup_validate or settings.kubernetes or "KUBERNETES_SERVICE_HOST" in environ
        )
        self._is_stopping = False
        self._mock = _mock_machine(settings)
        self._settings = settings = _with_mock_pods(settings, self._mock)
        self._catalogue = catalogue(
            mean_gpu_util=settings.mean_gpu_util,
            xid_window_ms=settings.xid_window_ms,
            xid_reset_after_s=settings.xid_reset_after_s,
            clock_window_ms=settings.clock_window_ms,
        )
        own = (*OWN_SERIES, OWNER_INFO, *busy_seconds.series(settings.busy_seconds))
        with given_by(counters_place(settings)):
            self._counters = CountersInForce(counters_source(settings), own, self._follow_counters, time)
        with given_by(settings.place("web-config-file")):
            self._web_config = WebConfigInForce(settings.web_config_file, time)
        failures = Failures(self._counters.printed_name)
        sampling = _sampling(settings, self._mock)
        self._supervisor = Supervisor(sampling, self._plan(), failures)
        where = find_whereabouts(environ, settings.hostname)
        socket = Path(settings.pod_resources_socket)
        if self._mock and self._mock.socket:  # whose kubelet knows the mock's pods alone
            socket, where = self._mock.socket, replace(where, pod=None)
        devices = Devices(self._supervisor.states, self._supervisor.holdable)
        self._ownership = Ownership(settings, devices, socket, where)
        known = TelemetrySources(
            version=__version__,
            source="nvml" if self._mock is None else "mock",
            states=self._supervisor.states,
            nvml_works=self._supervisor.nvml_works,
            released=self._supervisor.has_let_go,
            failures=failures.totals,
            spent=sampling.ledger.totals,
            scrapes=lambda: asdict(self._server.counts),
            reloaded=self._counters.reloaded,
            web_config_reloaded=self._web_config.reloaded,
            owner_news=self._ownership.news,
            job_news=self._ownership.job_news,
        )
        content = Content(self._supervisor.states, self._ownership.attribution, self._counters.counters)
        self._pages = Pages(content, Telemetry(known), LabelCache(_label_options(settings)), time)
        self._scrapes = sampling.scrapes
        health = partial(
            conditions.health, self._supervisor, self._ownership.summary, require_gpus=settings.health_require_gpus
        )
        ready = partial(conditions.ready, self._supervisor, self._ownership.settled, self._ownership.summary)
        shown = Shown(
            self._pages.page, self._supervisor.states, health, ready, self._counters.printed_name, __version__
        )
        sources = Handlers(self._page, health, ready, landing=OverviewPage(shown, time).html)
        limits = Limits(
            read_timeout_s=settings.web_read_timeout_s,
            write_timeout_s=settings.web_write_timeout_s,
            max_concurrent_scrapes=settings.max_concurrent_scrapes,
        )
        self._server = MetricsServer(sources, limits, self._web_config.config)
        self._listen(environ)

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the counters again, SIGUSR1 lets go of all GPUs until SIGUSR2.

        Returns:
            False if GPUs must be there and NVML does not find them; the log has said why.

        Raises:
            ConfigError: GPUs must be there, and none has an index that is asked for.
            ExporterError: No thread can be started.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._counters.ask())
        signal.signal(signal.SIGUSR1, lambda *_: self._supervisor.let_go())
        signal.signal(signal.SIGUSR2, lambda *_: self._supervisor.take_again())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, LATER)  # one that came during the start comes now
        try:
            self._start()
            if self._must_find_gpus and not self._find_gpus():
                return False
            if self._must_find_gpus and self._supervisor.listed() and not self._supervisor.states():
                self._refuse_selection()
            gc.collect()
            gc.freeze()
            self._server.run()
            log.info("received a signal to end")
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, *LATER):
                # First for the kernel alone: one that arrives within signal.signal would be reported with a traceback.
                ctypes.pythonapi.PyOS_setsig(number, ctypes.c_void_p(signal.SIG_IGN))
                signal.signal(number, signal.SIG_IGN)  # it ends already; Python's own end would give them back
            self._counters.stop()
            self._web_config.stop()
            self._ownership.stop()
            self._supervisor.stop()
            if self._mock:
                self._mock.stop()
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

    def _find_gpus(self) -> bool:
        """Wait until NVML has listed the GPUs or can't; one that hangs, or was let go, is not waited for."""
        deadline = time.monotonic() + FIRST_LOOK_S
        while not (self._supervisor.listed() or self._is_stopping or time.monotonic() >= deadline):
            if self._supervisor.trouble():
                return not self._supervisor.has_failed()
            time.sleep(0.01)
        return True

    def _refuse_selection(self) -> None:
        """Refuse indices that nothing has; where no index is named, what is selected may come yet."""
        if all(selection.ids is not None for selection in self._settings.devices):
            raise ConfigError(f"{self._settings.place('devices')} names only indices that no GPU has")

    def _page(self, form: Format, names: AskedNames) -> Page:
        """Return a page, and let those who collect know what was asked for and when."""
        counters = self._counters.counters()
        fields = None if names is None else frozenset(c.field for c in counters if c.is_asked_for(names))
        if fields is None or fields:
            self._scrapes.came(time.monotonic(), fields)
        return self._pages.page(form, names)

    def _follow_counters(self) -> None:
        self._supervisor.follow(self._plan())

    def _plan(self) -> Plan:
        return plan({counter.field for counter in self._counters.counters()}, self._catalogue)

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
        log.info("gpu-metrics-exporter %s reads real GPUs through NVML", __version__)
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


def _sampling(settings: Settings, mock: "MockMachine | None") -> Sampling:
    return Sampling(
        library=mock.nvml if mock else real_nvml(),
        selections=settings.devices,
        clock=time,
        interval_s=settings.collect_interval_s,
        scan_s=settings.gpu_bind_unbind_poll_s if settings.gpu_bind_unbind_watch else SCAN_S,
        pci_devices=mock.nvml.pci_devices if mock else partial(driver_gpus, DRIVER_GPUS),
    )


def _label_options(settings: Settings) -> LabelOptions:
    return LabelOptions(
        style=settings.label_style,
        hostname=None if settings.no_hostname else settings.hostname,
        kubernetes=settings.kubernetes,
        use_old_namespace=settings.use_old_namespace,
        replace_blanks_in_model_name=settings.replace_blanks_in_model_name,
    )

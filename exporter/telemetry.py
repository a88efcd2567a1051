"""The exporter's own metrics, gpu_exporter_* and process_*, rendered by prometheus_client."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from exporter.attribution.jobs import JobNews
from exporter.exposition import Format
from exporter.model import AskedNames, Condition, GpuState, Reason
from exporter.nvml.calls import Spent


class OwnerNews(NamedTuple):
    """How attribution fares: whether owners are known, when kubelet answered last (Unix time), what went wrong.

    `watches` says for each resource that is watched on the API server whether its changes come. `labels_left_out`
    counts the labels of this node's pods that are not printed; None if pod labels are off.
    """

    known: bool
    answered_at: float | None
    failures: Mapping[str, int]
    unmatched_total: int
    watches: Mapping[str, bool]
    labels_left_out: int | None = None


@dataclass(frozen=True, slots=True)
class TelemetrySources:
    """Where telemetry looks. Each callable is asked at every rendering and must answer at once.

    `reloaded` is the last reload's success and the epoch second of the last success, `web_config_reloaded` the same of
    the web configuration, None where there is none; `owner_news` is None where kubelet is not asked, `job_news` where
    no folder of HPC jobs is read.
    """

    version: str
    source: str
    states: Callable[[], tuple[GpuState, ...]]
    nvml_works: Callable[[], bool]
    failures: Callable[[], Mapping[tuple[str, Reason], int]]
    scrapes: Callable[[], Mapping[str, int]]
    reloaded: Callable[[], tuple[bool, float]]
    web_config_reloaded: Callable[[], tuple[bool, float] | None] = lambda: None
    spent: Callable[[], Mapping[str, Spent]] = dict
    released: Callable[[], bool] = lambda: False
    owner_news: Callable[[], OwnerNews | None] = lambda: None
    job_news: Callable[[], JobNews | None] = lambda: None


class Telemetry:
    """Renders the exporter's own metrics."""

    def __init__(self, known: TelemetrySources) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Own(known))
        ProcessCollector(registry=self._registry)

    def text(self, form: Format, names: AskedNames = None) -> str:
        """Return the own series that are asked for in a format, with the end mark that OpenMetrics wants."""
        generate = generate_latest if form is Format.TEXT else openmetrics.generate_latest
        return generate(self._registry if names is None else _Named(self._registry, names)).decode()


class _Named(Collector):
    """The metrics of some names, of samples or of whole families."""

    def __init__(self, registry: CollectorRegistry, names: frozenset[str]) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect() if self._names else ():
            if metric.name not in self._names:
                metric.samples = [sample for sample in metric.samples if sample.name in self._names]
            if metric.samples:
                yield metric


class _Own(Collector):
    def __init__(self, known: TelemetrySources) -> None:
        self._known = known

    def collect(self) -> Iterable[Metric]:
        known = self._known
        build = GaugeMetricFamily(
            "gpu_exporter_build_info",
            "Version, and whether values come from nvml or the mock.",
            labels=("version", "source"),
        )
        build.add_metric((known.version, known.source), 1)
        yield build
        yield GaugeMetricFamily(
            "gpu_exporter_nvml_up", "1 if NVML works as a whole, else 0.", value=int(known.nvml_works())
        )
        yield GaugeMetricFamily(
            "gpu_exporter_released",
            "1 while all GPUs are released after SIGUSR1, else 0.",
            value=int(known.released()),
        )
        yield from _of_gpus(known.states())
        errors = CounterMetricFamily(
            "gpu_exporter_reading_errors",
            "Values that could not be read, by field and reason. Values that are not supported count once.",
            labels=("reading", "reason"),
        )
        for (field, reason), total in sorted(known.failures().items()):
            errors.add_metric((field, reason), total)
        yield errors
        yield from _of_nvml(known.spent())
        scrapes = CounterMetricFamily("gpu_exporter_scrapes", "Scrapes answered, by result.", labels=("result",))
        for result, total in known.scrapes().items():
            scrapes.add_metric((result,), total)
        yield scrapes
        yield from _of_reload(
            "gpu_exporter_config_reload",
            known.reloaded(),
            "1 if the counters file was valid when last read, 0 if not and the older counters stay in force.",
            "When the counters in force were read.",
        )
        web_config = known.web_config_reloaded()
        if web_config is not None:
            yield from _of_reload(
                "gpu_exporter_web_config_reload",
                web_config,
                "1 if the web configuration was valid when last read, 0 if not and the older one stays in force.",
                "When the web configuration in force was read.",
            )
        news = known.owner_news()
        if news is not None:
            yield from _of_owners(news)
        jobs = known.job_news()
        if jobs is not None:
            yield from _of_jobs(jobs)


def _of_reload(name: str, reloaded: tuple[bool, float], success_help: str, time_help: str) -> Iterator[Metric]:
    success, last_success = reloaded
    yield GaugeMetricFamily(f"{name}_success", success_help, value=int(success))
    yield GaugeMetricFamily(f"{name}_success_timestamp_seconds", time_help, value=last_success)


def _of_nvml(spent: Mapping[str, Spent]) -> Iterator[Metric]:
    times = CounterMetricFamily(
        "gpu_exporter_nvml_reads", "Calls to NVML, by function or field value.", labels=("name",)
    )
    seconds = CounterMetricFamily(
        "gpu_exporter_nvml_seconds",
        "Time spent in calls to NVML, by function or field value; sum of all GPUs.",
        labels=("name",),
    )
    for name, total in sorted(spent.items()):
        times.add_metric((name,), total.times)
        seconds.add_metric((name,), total.seconds)
    yield from (times, seconds)


def _of_owners(news: OwnerNews) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "gpu_exporter_owners_known",
        "1 if kubelet's last answer is recent enough to tell who holds the GPUs, else 0 and pod labels are empty.",
        value=int(news.known),
    )
    if news.answered_at is not None:
        yield GaugeMetricFamily(
            "gpu_exporter_pod_resources_timestamp_seconds",
            "Time of the request to kubelet that returned the allocations in force.",
            value=news.answered_at,
        )
    failures = CounterMetricFamily(
        "gpu_exporter_pod_resources_errors",
        "Failed calls to kubelet's PodResources API, by reason.",
        labels=("reason",),
    )
    for reason, total in sorted(news.failures.items()):
        failures.add_metric((reason,), total)
    yield failures
    yield CounterMetricFamily(
        "gpu_exporter_unmatched_device_ids",
        "Device ids that kubelet lists, but that match no GPU or MIG instance of this node.",
        value=news.unmatched_total,
    )
    watches = GaugeMetricFamily(
        "gpu_exporter_kube_watch_up",
        "1 while the watch of the resource on the API server works, 0 while the last known state is used.",
        labels=("resource",),
    )
    for resource, is_up in sorted(news.watches.items()):
        watches.add_metric((resource,), int(is_up))
    yield watches
    if news.labels_left_out is not None:
        yield GaugeMetricFamily(
            "gpu_exporter_pod_labels_left_out",
            "Labels of this node's pods that are left out because their names are reserved or a pod has too many.",
            value=news.labels_left_out,
        )


def _of_jobs(news: JobNews) -> Iterator[Metric]:
    if news.read_at is not None:
        yield GaugeMetricFamily(
            "gpu_exporter_hpc_jobs_timestamp_seconds",
            "When the directory of HPC jobs was last read.",
            value=news.read_at,
        )
    yield GaugeMetricFamily(
        "gpu_exporter_hpc_job_files_left_out",
        "HPC job files that were left out, for example links and files with too many jobs.",
        value=news.left_out,
    )


def _of_gpus(states: tuple[GpuState, ...]) -> Iterator[Metric]:
    collection = GaugeMetricFamily(
        "gpu_exporter_collection_seconds", "Duration of the newest collection.", labels=("gpu",)
    )
    nvml = GaugeMetricFamily(
        "gpu_exporter_collection_nvml_seconds", "Part of the newest collection that was spent in NVML.", labels=("gpu",)
    )
    taken = GaugeMetricFamily(
        "gpu_exporter_snapshot_timestamp_seconds", "When the newest snapshot was taken.", labels=("gpu",)
    )
    accumulated = GaugeMetricFamily(
        "gpu_exporter_accumulating_timestamp_seconds",
        "When energy, profiling, busy seconds and error counters were read; the oldest time if they differ.",
        labels=("gpu",),
    )
    up = GaugeMetricFamily(
        "gpu_exporter_gpu_up",
        "1 if the GPU is sampled, 0 if it is lost, hanging, released or starting.",
        labels=("gpu",),
    )
    for state in states:
        gpu = (str(state.index),)
        up.add_metric(gpu, int(state.condition is Condition.SAMPLED))
        if state.snapshot is not None:
            collection.add_metric(gpu, state.snapshot.cost.total_s)
            nvml.add_metric(gpu, state.snapshot.cost.nvml_s)
            taken.add_metric(gpu, state.snapshot.taken_at)
            if state.snapshot.accumulated_at is not None:
                accumulated.add_metric(gpu, state.snapshot.accumulated_at)
    lost = sum(state.condition in {Condition.LOST, Condition.HANGING} for state in states)
    yield from (collection, nvml, taken, accumulated, up)
    yield GaugeMetricFamily("gpu_exporter_gpus_lost", "GPUs that are lost or hang in an NVML call.", value=lost)

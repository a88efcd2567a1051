"""What serving would do with some settings: files are read as serving reads them; no port, GPU or pod is touched."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporter.agent.inputs import check_kubernetes_client, counters_place, counters_source
from exporter.catalogue import ANSWERED
from exporter.counters import MetricType, parse_counters
from exporter.errors import given_by
from exporter.nvml.entities import unmatched_ids
from exporter.server.page_url import page_url
from exporter.server.web_config.document import WebConfig, read_web_config
from exporter.server.web_config.files import FilesRead
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.mock import Scenario


def check(settings: Settings) -> Iterator[str]:
    """Yield lines that say what would happen; those of warnings begin so.

    Raises:
        ExporterError: A file can't be read or is wrong.
    """
    has_pods = False
    if settings.mock is None:
        yield "GPUs: real ones, through NVML; not checked whether there are any"
    else:
        scenario = _scenario(settings, settings.mock)
        has_pods = bool(scenario.pods) or settings.mock_steering_port > 0
        yield from _mock_gpus(settings, scenario)
    yield f"Interval: {settings.collect_interval_s:g} s"
    yield from _counters(settings)
    yield from _owners(settings, is_asked=settings.kubernetes or (has_pods and "kubernetes" not in settings.given))
    yield f"Labels: as {settings.label_style}{', with 1.x names' if settings.use_old_namespace else ''}"
    web = _web_config(settings)
    yield f"Address: {'systemd sockets' if settings.systemd_socket else page_url(settings)}"
    if web.users:
        yield f"Passwords: required; users: {len(web.users)}"


def _web_config(settings: Settings) -> WebConfig:
    if settings.web_config_file is None:
        return WebConfig()
    with given_by(settings.place("web-config-file")):
        return read_web_config(settings.web_config_file, FilesRead())


def _scenario(settings: Settings, mock: str) -> "Scenario":
    from exporter.mock import load_scenario  # noqa: PLC0415  (memory that most need not spend)

    with given_by(settings.place("mock")):
        return load_scenario(mock)


def _mock_gpus(settings: Settings, scenario: "Scenario") -> Iterator[str]:
    models = Counter(gpu.profile.model for gpu in scenario.gpus)
    gpus = ", ".join(f"{count} x {model}" for model, count in models.items())
    yield f"GPUs: MOCK, of {settings.mock}: {gpus}, {len(scenario.pods)} pods"
    missing = unmatched_ids({}, len(scenario.gpus), settings.devices)
    if missing:
        named = ", ".join(map(str, sorted(missing)))
        yield f"warning: {settings.place('devices')} asks for GPUs that the mock does not have: {named}"


def _counters(settings: Settings) -> Iterator[str]:
    with given_by(counters_place(settings)):
        source = counters_source(settings)
        counters, warnings = parse_counters(source.read(), source.name, ANSWERED)
    labels = sum(counter.type is MetricType.LABEL for counter in counters)
    yield f"Counters: {source.name}: {len(counters) - labels} series per GPU, {labels} labels"
    yield from (f"warning: {warning}" for warning in warnings)


def _owners(settings: Settings, *, is_asked: bool) -> Iterator[str]:
    check_kubernetes_client(settings)
    if not is_asked:
        yield "Pods: none, kubelet is not asked; add -k to ask it"
    else:
        extras = {"labels": settings.enable_pod_labels, "uid": settings.enable_pod_uid, "DRA": settings.enable_dra}
        wanted = [name for name, is_wanted in extras.items() if is_wanted]
        yield f"Pods: from kubelet{', with ' if wanted else ''}{', '.join(wanted)}"
    if settings.hpc_job_mapping_dir:
        yield f"HPC jobs: from {settings.hpc_job_mapping_dir}"

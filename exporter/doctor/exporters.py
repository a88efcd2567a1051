"""The links that exporters' own pages show: that they answer, how their GPUs are, and whether owners are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from exporter.attribution.owners import Why
from exporter.doctor.cluster import ExporterPod, exporter_pods
from exporter.doctor.finding import LOADS, Finding, Mark, broken, holds, some, unseen
from exporter.doctor.surroundings import Surroundings
from exporter.errors import ConfigError, ExporterError, FetchError, KubeError, NotLetIn
from exporter.scraping import ScrapedSeries, fetch, parse_page, without_login
from exporter.server.page_url import page_url
from exporter.settings import Settings

MOST_PAGES = 20
"""Of how many exporters the pages are read; they are alike, as a rule."""

_SPEAK_TLS = frozenset({400, 502, 503})
"""What the API server answers at once where a pod takes no request in the clear; or if nothing listens."""

MOST_SILENT = 3
"""After how many exporters without an answer doctor stops asking: each takes some seconds."""

LONGEST_SILENCE_S = 10.0
"""After that kubelet, which is asked each second, is said not to answer; its last answer counts for longer."""

_PORT_FORWARD = "Or check one directly: kubectl port-forward, and --url http://localhost:9400/metrics."
_LET_IN = (
    "Use a kubeconfig that may get pods/proxy; or kubectl port-forward, and --url http://localhost:9400/metrics. If the"
    " exporter needs a password: --url https://USER:PASSWORD@HOST:9400/metrics."
)
_POD_MAPPING = "Start the exporter with -k; in the chart kubernetes.podMapping: true, the default."

CURES: Mapping[str, str] = {
    Why.KUBELET_SILENT: "kubelet does not answer the exporter: run doctor in its pod; see docs/attribution.md. With"
    " SELinux set podSecurityContext.seLinuxOptions.type: spc_t; on k0s and microk8s set kubeletPath.",
    Why.KUBELET_STARTING: "kubelet has just started and will list its pods soon; otherwise see its log.",
    Why.UNKNOWN_DEVICE_ID: "The device plugin's ids match no GPU: restart it after a change of MIG. Ids must be UUIDs.",
    Why.OTHER_RESOURCE: "The GPU is allocated under another resource: add it to --nvidia-resource-names.",
    Why.NO_RESOURCE_SLICES: "DRA allocates the GPU: set --kubernetes-enable-dra, and allow listing resourceslices.",
    Why.LISTED_TWICE: "kubelet lists one GPU for two pods: see kubelet's log, or restart it.",
}
"""What to do about each reason for which a GPU has no owner. That it is held by nobody, or in parts, is none."""


@dataclass(frozen=True, slots=True)
class ExporterPage:
    """What an exporter's page shows; `series` is None where it gave none, for the reason `trouble`."""

    place: str
    series: tuple[ScrapedSeries, ...] | None
    trouble: str = ""
    is_forbidden: bool = False

    def named(self, name: str) -> list[ScrapedSeries]:
        """Return the series of a name."""
        return [one for one in self.series or () if one.name == name]

    @property
    def loads(self) -> list[ScrapedSeries]:
        """Return the series that say how busy a GPU or MIG instance is."""
        return [one for one in self.series or () if one.name in LOADS]

    @property
    def holders(self) -> set[str]:
        """Return namespace and name of each pod that holds a GPU."""
        return {f"{one.labels.get('namespace', '')}/{one.labels['pod']}" for one in self.loads if one.labels.get("pod")}

    @property
    def kubelet_silent_s(self) -> float:
        """Return how long kubelet had not answered when the page was made, as far as the page tells."""
        taken = [one.value for one in self.named("gpu_exporter_snapshot_timestamp_seconds")]
        answered = [one.value for one in self.named("gpu_exporter_pod_resources_timestamp_seconds")]
        return max(taken) - answered[0] if taken and answered else 0.0

    @property
    def has_live_gpu(self) -> bool:
        """Tell whether a GPU is sampled there."""
        return any(one.value == 1 for one in self.named("gpu_exporter_gpu_up"))

    @property
    def is_ours(self) -> bool:
        """Tell whether it is this project's exporter."""
        return bool(self.named("gpu_exporter_build_info"))


def read_pages(look: Surroundings) -> list[ExporterPage]:
    """Return the pages of the exporter that is named, or of those that are here and in the cluster."""
    return look.once("pages", lambda: _read_pages(look))


def _read_pages(look: Surroundings) -> list[ExporterPage]:
    if look.asked.url:
        return [_page_of(without_login(look.asked.url), _whole_url(look.asked.url))]
    here = []
    if look.belongs_here:
        here = [_page_here(look.settings)]
    try:
        pods = exporter_pods(look)
    except KubeError:
        return here
    if here and here[0].series is not None and len(pods) <= 1:
        return here
    if not pods:
        return here
    return list(_pages_of(look, pods))


def _page_here(settings: Settings) -> ExporterPage:
    place = "the exporter here"
    try:
        return _page_of(place, page_url(settings))
    except ConfigError as error:
        return ExporterPage(place, None, str(error))


def _whole_url(url: str) -> str:
    """Return the page's URL where only the server's is given."""
    return url if url.rstrip("/").count("/") > 2 else f"{url.rstrip('/')}/metrics"  # noqa: PLR2004


def _page_of(place: str, url: str) -> ExporterPage:
    try:
        return ExporterPage(place, parse_page(fetch(url)))
    except FetchError as error:
        return ExporterPage(place, None, str(error), is_forbidden=isinstance(error, NotLetIn))


def _pages_of(look: Surroundings, pods: Sequence[ExporterPod]) -> Iterator[ExporterPage]:
    silent = 0
    for pod in islice(pods, MOST_PAGES):
        if silent == MOST_SILENT:
            return
        page = _page_through_api(look, pod)
        silent += page.series is None
        yield page


def _page_through_api(look: Surroundings, pod: ExporterPod, tls: str = "") -> ExporterPage:
    """Return the page of a pod, in the clear or, where that is not spoken there, by TLS."""
    place = f"{pod.namespace}/{pod.name}"
    path = f"/api/v1/namespaces/{quote(pod.namespace)}/pods/{tls}{quote(pod.name)}:{pod.port}/proxy/metrics"
    try:
        return ExporterPage(place, parse_page(look.api.text(path)))
    except KubeError as error:
        if error.status in _SPEAK_TLS and not tls:
            by_tls = _page_through_api(look, pod, "https:")
            if by_tls.series is not None or by_tls.is_forbidden:
                return by_tls
        return ExporterPage(place, None, str(error), is_forbidden=error.status in {401, 403})
    except ExporterError as error:
        return ExporterPage(place, None, str(error))


def exporter(look: Surroundings) -> Iterator[Finding]:
    """Look whether exporters answer."""
    yield from judge_exporter(read_pages(look))


def judge_exporter(pages: Sequence[ExporterPage]) -> Iterator[Finding]:
    """Say which exporters answer, and what of their own state is wrong."""
    if not pages:
        yield unseen("no exporter was found", "Give one: --url http://localhost:9400/metrics.")
    forbidden = [page for page in pages if page.is_forbidden]
    if forbidden:
        yield unseen(f"{forbidden[0].place} does not let this user in: {forbidden[0].trouble}", _LET_IN)
    for page in pages:
        if page.series is None and not page.is_forbidden:
            yield broken(
                f"{page.place} is not responding: {page.trouble}",
                f"See its log; delete the pod if it hangs. {_PORT_FORWARD}",
            )
        for one in page.named("gpu_exporter_kube_watch_up"):
            if one.value == 0:
                resource = one.labels.get("resource", "")
                yield broken(
                    f"the API server sends {page.place} nothing about {resource}",
                    f"Its service account needs list and watch on {resource}: kubernetes.rbac.create in the chart.",
                )
        if any(one.value == 0 for one in page.named("gpu_exporter_config_reload_success")):
            yield broken(f"{page.place} could not reload its counters file", "Its log names the line; fix it.")
    good = [page for page in pages if page.series is not None]
    if good:
        yield _judge_values(good)


def _judge_values(pages: Sequence[ExporterPage]) -> Finding:
    lacking = [page.place for page in pages if not page.loads and (page.has_live_gpu or not page.is_ours)]
    kinds = {one.labels.get("source") for page in pages for one in page.named("gpu_exporter_build_info")}
    foreign = sum(not page.is_ours for page in pages)
    mock = ", of MOCK GPUs" if "mock" in kinds else ""
    others = f"; dcgm-exporter or others among them: {foreign}" if foreign else ""
    if lacking:
        return broken(
            f"{some(lacking)} has no {LOADS[0]}",
            f"If gpus is fine, the counters file lacks it. MIG instances do not support it: they need {LOADS[2]}.",
        )
    return holds(f"exporters that respond: {len(pages)}{mock}{others}")


def gpus(look: Surroundings) -> Iterator[Finding]:
    """Look how GPUs are by the exporters' pages."""
    yield from judge_gpus([page for page in read_pages(look) if page.is_ours])


def judge_gpus(pages: Sequence[ExporterPage]) -> Iterator[Finding]:
    """Say which GPUs are not sampled."""
    if not pages:
        yield unseen("no page of this exporter was read")
        return
    count = 0
    for page in pages:
        if any(one.value == 0 for one in page.named("gpu_exporter_nvml_up")):
            yield broken(f"NVML does not work at {page.place}", "Run doctor in that pod; its /health says why.")
            continue
        if any(one.value == 1 for one in page.named("gpu_exporter_released")):
            yield broken(
                f"{page.place} has let go of all GPUs after SIGUSR1",
                "Send SIGUSR2 to its process to take them back: docs/releasing-gpus.md.",
            )
            continue
        up = page.named("gpu_exporter_gpu_up")
        lost = [one.labels.get("gpu", "") for one in up if one.value == 0]
        count += len(up)
        if lost:
            yield broken(
                f"GPU {some(lost)} at {page.place} is not sampled",
                "It is lost, hanging or was let go: its /health says which. If it is lost, look for Xid 79 in dmesg.",
            )
        if not up:
            yield broken(
                f"{page.place} exports no GPU",
                "Check -d, NVIDIA_VISIBLE_DEVICES, and the driver and devices in its pod.",
            )
    if count:
        yield holds(f"GPUs: {count}, on pages: {len(pages)}")


def owners(look: Surroundings) -> Iterator[Finding]:
    """Look whether exporters know who holds the GPUs."""
    pages = [page for page in read_pages(look) if page.series is not None]
    yield from judge_owners(pages, has_cluster=look.is_in_pod or look.api_trouble is None)


def judge_owners(pages: Sequence[ExporterPage], *, has_cluster: bool) -> Iterator[Finding]:
    """Say for which GPUs nobody can tell who holds them, and why pod is empty; without a cluster there are no pods."""
    if not pages:
        yield unseen("no page was read")
        return
    places: dict[str, list[str]] = {}
    for page in pages:
        yield from _judge_asking(page, has_cluster=has_cluster)
        for one in page.named("gpu_exporter_owner_info"):
            places.setdefault(one.labels.get("reason", ""), []).append(page.place)
    for reason, cure in CURES.items():
        if reason in places:
            count, where = len(places[reason]), some(set(places[reason]))
            yield broken(f"GPUs without an owner, reason {reason}: {count}, at {where}", cure)
    held = {held for page in pages for held in page.holders}
    if held:
        yield holds(f"pods that hold GPUs: {len(held)}, for example {some(held)}")
    elif Why.NO_POD in places:
        yield holds("no pod holds a GPU, so the label pod is empty everywhere, as it should be")
    elif not places and all(page.named("gpu_exporter_owners_known") or not page.is_ours for page in pages):
        yield unseen("no page says who holds its GPUs")


def _judge_asking(page: ExporterPage, *, has_cluster: bool) -> Iterator[Finding]:
    """Say whether an exporter asks kubelet, and gets an answer."""
    if page.is_ours and not page.named("gpu_exporter_owners_known"):
        mark = Mark.BROKEN if has_cluster else Mark.UNSEEN
        yield Finding(
            mark, f"{page.place} does not ask kubelet who holds its GPUs: its series have no label pod", _POD_MAPPING
        )
    if page.kubelet_silent_s > LONGEST_SILENCE_S:
        silence = f"kubelet has not answered {page.place} for {page.kubelet_silent_s:.0f} s"
        yield broken(silence, CURES[Why.KUBELET_SILENT])

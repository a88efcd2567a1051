"""The page for people: made of what is in memory, safe against what pods are called, honest about what is missing."""

import gzip
from collections.abc import Iterable
from dataclasses import replace

from exporter.exposition import Format
from exporter.model import AskedNames, Condition, Entity, Gpu, GpuState, Missing, Page, Reason
from exporter.server.endpoints import Health
from exporter.server.overview_page import OverviewPage, Shown, missing_fields
from tests.unit.entities import GPU, INSTANCE, OTHER_GPU, snapshot
from tests.unit.fake_clock import FakeClock
from tests.unit.server.serving import serving

SERIES = 'DCGM_FI_DEV_GPU_UTIL{{gpu="3",UUID="GPU-abc",container="c",namespace="n",pod="{pod}"}} {value}\n'
HOSTILE = "<script>alert(1)</script>&'"


class Exporter:
    """What the page is made of; a test changes it as it goes."""

    def __init__(self) -> None:
        self.text = SERIES.format(pod="one", value=42)
        self.health = Health(ok=True, text="GPUs: 1 sampled")
        self.ready = Health(ok=True, text="GPUs: 1 sampled")
        self.states: tuple[GpuState, ...] = ()
        self.pages = 0
        self.clock = FakeClock()
        shown = Shown(self.page, lambda: self.states, lambda: self.health, lambda: self.ready, str, "1.2.3 <test>")
        self.landing = OverviewPage(shown, self.clock)

    def page(self, _form: Format, _names: AskedNames) -> Page:
        self.pages += 1
        return Page(self.text.encode(), gzip.compress(b""), 0.0)

    def html(self) -> str:
        self.clock.advance(1.0)
        return self.landing.html().decode()


def state(*missing: tuple[Entity, Reason, str], entities: Iterable[Entity] = (GPU,)) -> GpuState:
    lacking = tuple(Missing(entity, field, reason) for entity, reason, field in missing)
    return GpuState(3, GPU.gpu, Condition.SAMPLED, replace(snapshot(), missing=lacking), tuple(entities))


def test_the_page_names_gpus_holders_and_values() -> None:
    html = Exporter().html()
    for part in ("GPU 3", "n/one", "42 %", "GPUs: 1 sampled", "1.2.3 &lt;test&gt;"):
        assert part in html


def test_no_name_of_a_pod_becomes_markup() -> None:
    exporter = Exporter()
    exporter.text = SERIES.format(pod=HOSTILE, value=1)
    html = exporter.html()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in html


def test_load_is_the_true_one_from_the_second_look_on() -> None:
    exporter = Exporter()
    counters = 'gpu_exporter_{}_seconds_total{{gpu="3",UUID="GPU-abc"}} {}\n'
    value = exporter.text
    exporter.text = value + counters.format("busy", 10) + counters.format("observed", 20)
    assert "42 %" in exporter.html()
    exporter.text = value + counters.format("busy", 10.4) + counters.format("observed", 22)
    assert "20 %" in exporter.html()


def test_however_many_people_look_the_page_is_made_once_a_second() -> None:
    exporter = Exporter()
    first = exporter.html()
    exporter.text = ""
    assert [exporter.landing.html().decode() for _ in range(5)] == [first] * 5
    assert exporter.pages == 1
    assert exporter.html() != first


def test_trouble_is_said_where_there_is_no_gpu() -> None:
    exporter = Exporter()
    exporter.text = ""
    exporter.health = Health(ok=False, text="libnvidia-ml.so.1 can't be loaded")
    exporter.ready = Health(ok=False, text="NVML is starting")
    html = exporter.html()
    for part in ("No GPU has values now.", "libnvidia-ml.so.1 can&#x27;t be loaded", "Not ready: NVML is starting"):
        assert part in html or part.replace("&#x27;", "&#39;") in html


def test_what_is_missing_is_told_once_for_all_that_lack_it() -> None:
    unsupported, permission = Reason.NOT_SUPPORTED, Reason.NOT_PERMITTED
    states = [
        state(
            (GPU, unsupported, "FAN"),
            (INSTANCE, unsupported, "FAN"),
            (INSTANCE, unsupported, "UTIL"),
            (INSTANCE, unsupported, "COPY"),
            (GPU, permission, "ECC"),
            (replace(GPU, link=1), unsupported, "LINK"),  # one of them stands for all of a GPU: there would be hundreds
            (replace(GPU, link=2), unsupported, "LINK"),
            entities=(GPU, INSTANCE),
        )
    ]
    found = list(missing_fields(states, lambda field: f"DCGM_{field}"))
    assert [(group.where, group.fields) for group in found] == [
        ("", ("DCGM_FAN",)),
        ("GPU 3 (5)", ("DCGM_COPY", "DCGM_UTIL")),
        ("NVLinks of GPU 3", ("DCGM_LINK",)),
        ("GPU 3", ("DCGM_ECC",)),
    ]
    assert found[0].reason != found[3].reason


def test_gpus_are_named_in_order() -> None:
    [group] = missing_fields(
        [state((OTHER_GPU, Reason.TIMEOUT, "A"), (GPU, Reason.TIMEOUT, "A"), entities=(GPU, OTHER_GPU, _third()))], str
    )
    assert group.where == "GPU 3, GPU 4"


def _third() -> Entity:
    return Entity(Gpu(5, "GPU-x", "00000000:44:00.0", 5, "NVIDIA H100 80GB HBM3"))


def test_links_lead_somewhere_and_a_browser_runs_nothing() -> None:
    with serving() as served:
        page = served.ask("/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        links = ("metrics", "health", "ready")
        assert all(f'href="{link}"' in Exporter().html() for link in links)
        assert {served.ask(f"/{link}").status for link in links} == {200}

import gzip
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from exporter.catalogue.reading import OWN
from exporter.counters import Counter, MetricType
from exporter.exposition import Format
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Attribution, Condition, DeviceSnapshot, Entity, GpuState, Holder, Owner, Owners, Sample
from exporter.pages import KEPT_PAGES, LONGEST_LIFE_S, Content, Pages
from exporter.telemetry import Telemetry, TelemetrySources
from tests.golden.soundness import parse
from tests.unit.entities import GPU, NOW, OTHER_GPU, counter, sample, snapshot
from tests.unit.fake_clock import FakeClock

UTIL, POWER = counter("DCGM_FI_DEV_GPU_UTIL"), counter("DCGM_FI_DEV_POWER_USAGE")


@dataclass
class Exporter:
    """What a page is made of; a test changes it as it goes."""

    snapshots: list[DeviceSnapshot | None] = field(
        default_factory=lambda: [snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7), sample("DCGM_FI_DEV_POWER_USAGE", 71.5))]
    )
    owners: Owners = field(default_factory=dict)
    counters: tuple[Counter, ...] = (UTIL,)
    scrapes: int = 0
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def states(self) -> tuple[GpuState, ...]:
        return tuple(
            GpuState(i, GPU.gpu, Condition.SAMPLED if newest else Condition.STARTING, newest)
            for i, newest in enumerate(self.snapshots)
        )

    def content(self) -> Content:
        # as Supervisor and Workers have it: equal answers, made anew for each question
        return Content(self.states, lambda: Attribution(dict(self.owners)), lambda: self.counters)

    def telemetry(self) -> Telemetry:
        return Telemetry(
            TelemetrySources(
                "1.2.3", "mock", self.states, lambda: True, dict, lambda: {"ok": self.scrapes}, lambda: (True, 1.5)
            )
        )

    def pages(self) -> Pages:
        cache = LabelCache(LabelOptions(kubernetes=True))
        return Pages(self.content(), self.telemetry(), cache, self.clock)


def values(text: bytes, name: str = "DCGM_FI_DEV_GPU_UTIL") -> list[str]:
    return [line.rsplit(" ", 1)[1] for line in text.decode().splitlines() if line.startswith(f"{name}{{")]


# One page for all scrapes.


@pytest.mark.parametrize("form", Format)
def test_page_is_rendered_once_while_nothing_changes(form: Format) -> None:
    exporter = Exporter()
    pages = exporter.pages()
    first = pages.page(form)
    exporter.clock.advance(LONGEST_LIFE_S - 0.01)
    assert pages.page(form) is first


def test_formats_have_pages_of_their_own() -> None:
    pages = Exporter().pages()
    text, openmetrics = pages.page(Format.TEXT), pages.page(Format.OPENMETRICS)
    assert openmetrics.text.endswith(b"\n# EOF\n")
    assert b"# EOF" not in text.text
    assert pages.page(Format.TEXT) is text


class Asked(dict[Entity, tuple[Owner, ...]]):
    """Owners that count how often they are asked for."""

    count = 0

    def get(self, *args: Any) -> Any:
        self.count += 1
        return super().get(*args)


def test_both_formats_come_of_one_rendering() -> None:
    exporter, owners = Exporter(), Asked()
    pages = Pages(
        replace(exporter.content(), attribution=lambda: Attribution(owners)),
        exporter.telemetry(),
        LabelCache(LabelOptions(kubernetes=True)),
        exporter.clock,
    )
    pages.page(Format.TEXT)
    asked = owners.count
    assert asked
    assert values(pages.page(Format.OPENMETRICS).text) == ["7"]
    assert owners.count == asked


@pytest.mark.parametrize("form", Format)
def test_compressed_page_is_the_same_page(form: Format) -> None:
    exporter = Exporter()
    page = exporter.pages().page(form)
    assert gzip.decompress(page.gzip) == page.text
    assert len(page.gzip) < len(page.text)
    assert page.gzip[4:8] == bytes(4), "the time of its making is in the header"


def test_page_holds_dcgm_s_series_and_the_exporter_s_own() -> None:
    page = Exporter().pages().page(Format.TEXT)
    assert values(page.text) == ["7"]
    assert b'gpu_exporter_build_info{source="mock",version="1.2.3"} 1.0\n' in page.text
    assert page.text.index(b"DCGM_FI_DEV_GPU_UTIL{") < page.text.index(b"gpu_exporter_build_info{")


@pytest.mark.parametrize("form", Format)
def test_page_without_any_gpu_is_a_page(form: Format) -> None:
    page = Exporter(snapshots=[]).pages().page(form)
    assert "gpu_exporter_build_info" in {family.name for family in parse(page.text.decode(), form)}


# Named series.

BUSY = Counter("gpu_exporter_busy_seconds_total", "gpu_exporter_busy_seconds_total", OWN, MetricType.COUNTER, "Help.")
DRIVER = counter("DCGM_FI_DRIVER_VERSION", MetricType.LABEL)


def with_counters(*counters: Counter) -> Exporter:
    samples = (
        sample("DCGM_FI_DEV_GPU_UTIL", 7),
        sample("DCGM_FI_DEV_POWER_USAGE", 71.5),
        sample("DCGM_FI_DRIVER_VERSION", "580.1"),
        Sample(GPU, BUSY.field, 1.5, NOW + 3),
    )
    return Exporter([snapshot(*samples)], counters=counters)


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(
    ("names", "printed"),
    [
        ({UTIL.name}, {UTIL.name}),
        ({BUSY.name, POWER.name}, {BUSY.name, POWER.name}),
        ({"gpu_exporter_busy_seconds"}, {BUSY.name}),
        ({"gpu_exporter_scrapes", UTIL.name}, {"gpu_exporter_scrapes_total", UTIL.name}),
        ({"gpu_exporter_nvml_up", "process_cpu_seconds_total"}, {"gpu_exporter_nvml_up", "process_cpu_seconds_total"}),
        ({DRIVER.name}, set()),
        ({"DCGM_FI_DEV_GPU", "gpu_exporter", "up", "", "\ud800"}, set()),
    ],
)
def test_named_series_alone_are_on_a_page_and_equal_those_of_the_whole_one(
    names: set[str], printed: set[str], form: Format
) -> None:
    pages = with_counters(UTIL, POWER, DRIVER, BUSY).pages()
    page, whole = pages.page(form, frozenset(names)), pages.page(form)
    lines = page.text.decode().splitlines()
    assert {re.split("[ {]", line)[0] for line in lines if not line.startswith("#")} == printed
    assert {family.name.removesuffix("_total") for family in parse(page.text.decode(), form)} == {
        name.removesuffix("_total") for name in printed
    }
    assert [line for line in lines if "process_" not in line] == [
        line for line in whole.text.decode().splitlines() if line in lines and "process_" not in line
    ]
    assert page.text.endswith(b"# EOF\n") == (form is Format.OPENMETRICS)
    assert gzip.decompress(page.gzip) == page.text


def test_named_page_is_made_once_and_again_for_a_newer_snapshot() -> None:
    exporter = with_counters(UTIL, POWER)
    pages, names = exporter.pages(), frozenset({POWER.name})
    first = pages.page(Format.TEXT, names)
    pages.page(Format.TEXT)
    assert pages.page(Format.TEXT, frozenset({POWER.name})) is first
    exporter.snapshots = [snapshot(sample("DCGM_FI_DEV_POWER_USAGE", 72.5))]
    assert values(pages.page(Format.TEXT, names).text, POWER.name) == ["72.5"]


def test_many_choices_of_names_keep_no_more_than_a_few_pages() -> None:
    pages = with_counters(UTIL, POWER).pages()
    choices = [frozenset({str(n)}) for n in range(2 * KEPT_PAGES)]
    made = [pages.page(Format.TEXT, names) for names in choices]
    kept = [pages.page(Format.TEXT, names) is page for names, page in reversed(list(zip(choices, made, strict=True)))]
    assert kept == [True] * KEPT_PAGES + [False] * KEPT_PAGES


# What makes a new one.


def test_newer_snapshot_is_on_the_next_page() -> None:
    exporter = Exporter()
    pages = exporter.pages()
    pages.page(Format.TEXT)
    exporter.snapshots = [snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 8))]
    assert values(pages.page(Format.TEXT).text) == ["8"]


def test_gpu_that_appears_is_on_the_next_page() -> None:
    exporter = Exporter()
    pages = exporter.pages()
    pages.page(Format.TEXT)
    exporter.snapshots.append(snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 9, OTHER_GPU), entity=OTHER_GPU))
    assert values(pages.page(Format.TEXT).text) == ["7", "9"]


def test_new_owner_is_on_the_next_page() -> None:
    exporter = Exporter()
    pages = exporter.pages()
    assert b'pod=""' in pages.page(Format.TEXT).text
    exporter.owners = {GPU: (Owner(Holder("team-a", "web-0", "main")),)}
    assert b'pod="web-0"' in pages.page(Format.TEXT).text


def test_new_counters_are_on_the_next_page() -> None:
    exporter = Exporter()
    pages = exporter.pages()
    pages.page(Format.TEXT)
    exporter.counters = (UTIL, POWER)
    assert values(pages.page(Format.TEXT).text, POWER.name) == ["71.5"]


def test_own_metrics_are_never_older_than_a_second() -> None:
    exporter = Exporter()
    pages = exporter.pages()
    pages.page(Format.TEXT)
    exporter.scrapes = 5
    exporter.clock.advance(LONGEST_LIFE_S)
    assert b'gpu_exporter_scrapes_total{result="ok"} 5.0' in pages.page(Format.TEXT).text


def test_sample_that_expires_leaves_the_page_at_once() -> None:
    brief = sample("DCGM_FI_DEV_GPU_UTIL", 7, expires=NOW + 0.4)
    exporter = Exporter([snapshot(brief, sample("DCGM_FI_DEV_POWER_USAGE", 71.5))], counters=(UTIL, POWER))
    pages = exporter.pages()
    page = pages.page(Format.TEXT)
    assert (values(page.text), page.expires) == (["7"], NOW + 0.4)
    exporter.clock.advance(0.4)
    after = pages.page(Format.TEXT).text
    assert (values(after), values(after, POWER.name)) == ([], ["71.5"])


def test_gpu_of_which_nothing_is_heard_loses_its_series_and_keeps_its_time() -> None:
    exporter = Exporter([snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7), expires=NOW + 3)])
    pages = exporter.pages()
    pages.page(Format.TEXT)
    exporter.clock.advance(3)
    page = pages.page(Format.TEXT)
    assert values(page.text) == []
    assert values(page.text, "gpu_exporter_snapshot_timestamp_seconds") == ["1.8e+09"]


def test_label_that_is_no_unicode_text_spoils_no_page() -> None:
    exporter = Exporter(owners={GPU: (Owner(Holder("team-a", "web\udcff", "main")),)})
    assert b'pod="web?"' in exporter.pages().page(Format.TEXT).text

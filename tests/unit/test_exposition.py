import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.catalogue import OWN_SERIES
from exporter.counters import Counter, MetricType
from exporter.exposition import Format, Rendering, render
from exporter.labels import LabelCache, LabelOptions
from exporter.model import Attribution, DeviceSnapshot, Holder, Owner, Owners, Sample, Value
from tests.golden.soundness import parse
from tests.unit.entities import GPU, INSTANCE, LATER, NOW, OTHER_GPU, counter, sample, snapshot

UTIL = counter("DCGM_FI_DEV_GPU_UTIL")
POWER = counter("DCGM_FI_DEV_POWER_USAGE")
ENERGY = counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", MetricType.COUNTER)
DRIVER = counter("DCGM_FI_DRIVER_VERSION", MetricType.LABEL)


def rendered(*snapshots: DeviceSnapshot, counters: tuple[Counter, ...], now: float = NOW) -> Rendering:
    return render(snapshots, Attribution({}), counters, LabelCache(LabelOptions()), now)


def lines(rendering: Rendering) -> list[str]:
    """Return the series of a rendering, without the labels that every GPU has beside its number."""
    series = [line for line in rendering.text(Format.TEXT).splitlines() if not line.startswith("#")]
    return [re.sub(r',(UUID|pci_bus_id|device|modelName)="[^"]*"', "", line) for line in series]


def headers(rendering: Rendering, form: Format) -> list[str]:
    return [line for line in rendering.text(form).splitlines() if line.startswith("#")]


# Which series there are.


def test_families_come_in_the_order_of_field_ids_whatever_the_file_says() -> None:
    newest = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7), sample("DCGM_FI_DEV_POWER_USAGE", 71.5))
    assert lines(rendered(newest, counters=(UTIL, POWER))) == [
        'DCGM_FI_DEV_POWER_USAGE{gpu="3"} 71.5',
        'DCGM_FI_DEV_GPU_UTIL{gpu="3"} 7',
    ]


def test_series_of_a_family_come_in_the_order_of_the_snapshots() -> None:
    three = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7))
    four = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 8, OTHER_GPU), entity=OTHER_GPU)
    assert lines(rendered(three, four, counters=(UTIL,))) == [
        'DCGM_FI_DEV_GPU_UTIL{gpu="3"} 7',
        'DCGM_FI_DEV_GPU_UTIL{gpu="4"} 8',
    ]


def test_counter_without_a_sample_has_no_header_either() -> None:
    assert rendered(snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7)), counters=(UTIL, POWER)).text(Format.TEXT) == (
        "# HELP DCGM_FI_DEV_GPU_UTIL Help.\n# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
        'DCGM_FI_DEV_GPU_UTIL{gpu="3",UUID="GPU-abc",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
        'modelName="NVIDIA H100 80GB HBM3"} 7\n'
    )


def test_sample_that_no_counter_asks_for_is_not_printed() -> None:
    newest = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7), sample("DCGM_FI_DEV_POWER_USAGE", 71.5))
    assert lines(rendered(newest, counters=(UTIL,))) == ['DCGM_FI_DEV_GPU_UTIL{gpu="3"} 7']


def test_two_names_of_one_field_are_both_printed() -> None:
    newest = snapshot(sample("DCGM_FI_DEV_POWER_USAGE", 71.5))
    assert lines(rendered(newest, counters=(POWER, counter("DCGM_FI_DEV_BOARD_POWER_WATTS")))) == [
        'DCGM_FI_DEV_POWER_USAGE{gpu="3"} 71.5',
        'DCGM_FI_DEV_BOARD_POWER_WATTS{gpu="3"} 71.5',
    ]


def test_text_is_a_label_on_the_series_of_its_own_entity() -> None:
    three = snapshot(sample("DCGM_FI_DRIVER_VERSION", "580.1"), sample("DCGM_FI_DEV_GPU_UTIL", 7))
    four = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 8, OTHER_GPU), entity=OTHER_GPU)
    assert lines(rendered(three, four, counters=(DRIVER, UTIL))) == [
        'DCGM_FI_DEV_GPU_UTIL{gpu="3",DCGM_FI_DRIVER_VERSION="580.1"} 7',
        'DCGM_FI_DEV_GPU_UTIL{gpu="4"} 8',
    ]


def test_shared_gpu_has_one_series_for_each_owner() -> None:
    owners: Owners = {GPU: (Owner(Holder("a", "web", "main")), Owner(Holder("b", "job", "main")))}
    newest = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7))
    found = lines(render([newest], Attribution(owners), (UTIL,), LabelCache(LabelOptions(kubernetes=True)), NOW))
    assert found == [
        'DCGM_FI_DEV_GPU_UTIL{gpu="3",container="main",namespace="a",pod="web"} 7',
        'DCGM_FI_DEV_GPU_UTIL{gpu="3",container="main",namespace="b",pod="job"} 7',
    ]


def test_own_series_of_a_sample_come_last_and_name_no_model() -> None:
    since = OWN_SERIES[0]
    newest = snapshot(Sample(GPU, since.field, 1.5, LATER), sample("DCGM_FI_DEV_GPU_UTIL", 7))
    rendering = rendered(newest, counters=(since, UTIL))
    assert lines(rendering) == [
        'DCGM_FI_DEV_GPU_UTIL{gpu="3"} 7',
        'gpu_exporter_xid_listening_start_time_seconds{gpu="3"} 1.5',
    ]
    assert rendering.text(Format.TEXT).count("modelName=") == 1


# What is true for how long.


def test_sample_ends_at_its_expiry_and_the_others_stay() -> None:
    newest = snapshot(
        sample("DCGM_FI_DEV_GPU_UTIL", 7, expires=NOW + 1), sample("DCGM_FI_DEV_POWER_USAGE", 71.5), expires=NOW + 9
    )
    before, after = (rendered(newest, counters=(UTIL, POWER), now=now) for now in (NOW + 0.9, NOW + 1))
    assert (len(lines(before)), before.expires) == (2, NOW + 1)
    assert lines(after) == ['DCGM_FI_DEV_POWER_USAGE{gpu="3"} 71.5']
    assert after.expires == LATER


def test_snapshot_takes_even_its_lasting_samples_along() -> None:
    newest = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7, expires=float("inf")), expires=NOW + 2)
    before, after = (rendered(newest, counters=(UTIL,), now=now) for now in (NOW + 1.9, NOW + 2))
    assert (len(lines(before)), before.expires) == (1, NOW + 2)
    assert after.text(Format.TEXT) == ""


def test_one_device_that_is_late_takes_nothing_of_another() -> None:
    late = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7), expires=NOW)
    four = snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 8, OTHER_GPU), entity=OTHER_GPU)
    assert lines(rendered(late, four, counters=(UTIL,))) == ['DCGM_FI_DEV_GPU_UTIL{gpu="4"} 8']


def test_nothing_to_say_never_expires() -> None:
    empty = rendered(counters=(UTIL,))
    assert (empty.text(Format.TEXT), empty.expires) == ("", float("inf"))


# How it is written.


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (18446744073709551615, "18446744073709551615"), (0.0, "0.0"), (71.247, "71.247"), (5.5e-06, "5.5e-06")],
)
def test_numbers_are_written_with_all_that_they_have(value: Value, text: str) -> None:
    (line,) = lines(rendered(snapshot(sample("DCGM_FI_DEV_GPU_UTIL", value)), counters=(UTIL,)))
    assert line.endswith(f" {text}")


@pytest.mark.parametrize(
    ("kind", "in_text", "in_openmetrics"),
    [
        (MetricType.GAUGE, "gauge", "gauge"),
        (MetricType.COUNTER, "counter", "unknown"),
        (MetricType.HISTOGRAM, "untyped", "unknown"),
        (MetricType.SUMMARY, "untyped", "unknown"),
        (MetricType.UNTYPED, "untyped", "unknown"),
    ],
)
def test_type_is_the_file_s_where_a_number_can_be_of_it(kind: MetricType, in_text: str, in_openmetrics: str) -> None:
    rendering = rendered(snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7)), counters=(counter("DCGM_FI_DEV_GPU_UTIL", kind),))
    assert headers(rendering, Format.TEXT)[1] == f"# TYPE DCGM_FI_DEV_GPU_UTIL {in_text}"
    assert headers(rendering, Format.OPENMETRICS)[1] == f"# TYPE DCGM_FI_DEV_GPU_UTIL {in_openmetrics}"


def test_series_have_the_same_names_in_both_formats() -> None:
    rendering = rendered(snapshot(sample("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 5)), counters=(ENERGY,))
    text, openmetrics = (rendering.text(form).splitlines()[2:] for form in Format)
    assert text == openmetrics
    assert text[0].startswith("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{")


def test_counter_that_ends_in_total_is_one_in_openmetrics() -> None:
    total = Counter("own_xids_total", "DCGM_FI_DEV_GPU_UTIL", 1, MetricType.COUNTER, "Help.")
    rendering = rendered(snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7)), counters=(total,))
    text = rendering.text(Format.OPENMETRICS)
    assert text.startswith("# HELP own_xids Help.\n# TYPE own_xids counter\nown_xids_total{")
    (family,) = parse(f"{text}# EOF\n", Format.OPENMETRICS)
    assert (family.name, family.type) == ("own_xids", "counter")


any_text = st.text(st.characters(codec="utf-8"))


@given(any_text.map(str.strip))  # as columns of a counters file are; prometheus_client's parsers strip help too
@example('back\\slash, "quotes" and\nnew \\n line')
@example("\\")
def test_any_help_stays_on_one_line(text: str) -> None:
    rendering = rendered(
        snapshot(sample("DCGM_FI_DEV_GPU_UTIL", 7)), counters=(counter("DCGM_FI_DEV_GPU_UTIL", text=text),)
    )
    for form in Format:
        assert rendering.text(form).count("\n") == 3
    (in_text,) = parse(rendering.text(Format.TEXT), Format.TEXT)
    (in_openmetrics,) = parse(rendering.text(Format.OPENMETRICS) + "# EOF\n", Format.OPENMETRICS)
    assert in_text.documentation == in_openmetrics.documentation == text


@given(any_text, any_text)
@example('"', "\\")
@example("\n", "\r\n\x00\u2028")
def test_any_label_value_comes_back_in_both_formats(driver: str, message: str) -> None:
    newest = snapshot(
        sample("DCGM_FI_DRIVER_VERSION", driver, INSTANCE),
        sample("DCGM_FI_DEV_GPU_UTIL", 7, INSTANCE, labels=(("err_msg", message),)),
    )
    rendering = rendered(newest, counters=(DRIVER, UTIL))
    pages = {form: rendering.text(form) for form in Format}
    pages[Format.OPENMETRICS] += "# EOF\n"
    for form, page in pages.items():
        (family,) = parse(page, form)
        labels = family.samples[0].labels
        assert (labels["DCGM_FI_DRIVER_VERSION"], labels["err_msg"]) == (driver, message)

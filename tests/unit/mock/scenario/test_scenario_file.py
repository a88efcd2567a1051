import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.mock import MockNvml, load_scenario
from exporter.mock.document import Section
from exporter.mock.machine.quantities import QUANTITIES
from exporter.mock.recordings.recording import Frame, Recording
from exporter.mock.recordings.recording_file import write_recording
from exporter.mock.scenario.profile_file import profile_names
from exporter.mock.scenario.scenario_file import parse_scenario
from tests.unit.mock_machines import scenario

KEYS = [
    "seed",
    "driver",
    "gpus",
    "profile",
    "count",
    "minor",
    "nvlink",
    "load",
    "mig",
    "values",
    "faults",
    "kind",
    "at_s",
    "until_s",
    "for_s",
    "code",
    "functions",
    "gpu_instance",
    "percent",
    "low_percent",
    "high_percent",
    "period_s",
    "phase_s",
    "steps",
    "repeat",
    "recording",
    "at_end",
    "compute",
    "idle",
    "busy",
    "demands",
    "pods",
    "name",
    "namespace",
    "containers",
    "gpu",
    "replica",
    "resource",
    "ids",
]

WORDS = [
    "h100-sxm",
    "a100-sxm",
    "t4",
    "1g.10gb",
    "7g.80gb",
    "wave",
    "steps",
    "replay",
    "lost",
    "hang",
    "xid",
    "h100-idle",
    "demand",
    "device-name",
    "work",
    "d",
]

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)

gpus = st.lists(
    st.fixed_dictionaries(
        {"profile": st.sampled_from(["h100-sxm", "a100-sxm", "t4"])},
        optional=dict.fromkeys(
            ("count", "minor", "nvlink", "load", "mig", "values", "faults", "recording", "at_end", "costs"), values
        ),
    ),
    min_size=1,
    max_size=2,
)


@pytest.mark.parametrize("name", profile_names())
def test_a_profiles_name_gives_its_default_scenario(name: str) -> None:
    described = load_scenario(name)
    assert {gpu.profile.name for gpu in described.gpus} == {name}
    assert described.driver == "580.159.04"


def test_an_unknown_profile_lists_the_profiles() -> None:
    with pytest.raises(ConfigError, match=r"'h300' is not known: use one of a100-sxm, b200, .*, t4, or the path of"):
        load_scenario("h300")


def test_a_scenario_is_read_from_a_file_with_recordings_beside_it(tmp_path: Path) -> None:
    frames = (Frame(7, {"gpu_utilization_percent": 12}), Frame(8, {"gpu_utilization_percent": 80}))
    write_recording(tmp_path / "mine.jsonl.gz", Recording("A", "1", "2026-01-01", "Mine.", frames))
    path = tmp_path / "lab.yaml"
    path.write_text("gpus: [{profile: t4, load: {kind: replay, recording: mine.jsonl.gz}}]\ndriver: 575.57.08\n")
    described = load_scenario(str(path))
    assert described.driver == "575.57.08"
    assert [described.gpus[0].load.activity.value(t) for t in (0, 0.9, 1, 50)] == [0.12, 0.12, 0.8, 0.8]


def test_a_scenario_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lab\.yaml: can't read the scenario: No such file"):
        load_scenario(str(tmp_path / "lab.yaml"))


def test_a_damaged_recording_in_a_scenario_is_named_with_the_key_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    (tmp_path / "lab.yaml").write_text("gpus: [{profile: t4, load: {kind: replay, recording: bad.jsonl}}]")
    with pytest.raises(ConfigError, match=r"lab\.yaml: gpus\[0\]\.load\.recording: .*bad\.jsonl: record 1: format"):
        load_scenario(str(tmp_path / "lab.yaml"))


def test_a_count_makes_several_gpus_with_minors_of_their_own() -> None:
    described = scenario("gpus: [{profile: t4, count: 3, load: 10}, {profile: h100-sxm, minor: 9}]")
    assert [gpu.minor for gpu in described.gpus] == [0, 1, 2, 9]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gpus: [", ":1: this is not YAML"),
        ("gpus: [{profile: t4}]\ngpus: [{profile: t4}]", ":2: the key 'gpus' is repeated"),
        ("- 1", "is a list; expected a mapping of keys and values"),
        ("", "is empty; expected a mapping"),
        ("seed: 3", "gpus: has 0 GPUs; expected 1 to 64"),
        ("gpus: [{profile: t4, count: 64}, {profile: t4}]", "gpus: has 65 GPUs"),
        ("gpus: t4", "gpus: is 't4'; expected a list"),
        ("gpus: [t4]", "gpus[0]: is 't4'; expected a mapping"),
        ("gpus: [{load: 3}]", "gpus[0].profile: is missing"),
        (
            "gpus: [{profile: h900}]",
            "gpus[0].profile: is 'h900'; expected one of a100-sxm, b200, gb200, h100-sxm, ",
        ),
        ("gpus: [{profile: t4, recording: h100-idle}]", "gpus[0].recording: is set together with profile"),
        ("gpus: [{recording: h900}]", "gpus[0].recording: recording 'h900' is not known; the recordings are h100-busy"),
        (
            "gpus: [{recording: h100-idle}]",
            "gpus[0].recording: h100-idle: record 2: memory_total_bytes: is absent, a GPU can't be made of the",
        ),
        ("gpus: [{profile: t4, costs: work}]", "gpus[0].costs: is set, what calls take on a t4 is not recorded"),
        ("gpus: [{profile: t4, costs: much}]", "gpus[0].costs: is 'much'; expected one of work, sleep"),
        ("gpus: [{profile: t4, lod: 3}]", "gpus[0].lod: is not a known key; the keys are"),
        (
            "gpus: [{profile: t4}]\nmore: 1",
            "more: is not a known key; the keys are demands, driver, faults, gpus, pods, seed",
        ),
        ("gpus: [{profile: t4, load: 101}]", "gpus[0].load: is 101; expected a number from 0 to 100"),
        ("gpus: [{profile: t4, load: true}]", "gpus[0].load: is True; expected a number from 0 to 100"),
        ("gpus: [{profile: t4, load: .nan}]", "gpus[0].load: is nan; expected a number from 0 to 100"),
        (
            "gpus: [{profile: t4, load: {kind: demand}}]\ndemands: {a: {gpus: 1, pods: {name: '((('}}}",
            "not a regular expr",
        ),
        (f"gpus: [{{profile: t4}}]\ndemands: {{a: {{gpus: 1, pods: {{name: '{'(' * 9999}'}}}}}}", "not a regular expr"),
        ("gpus: [{profile: t4}]\ndemands: {a: {gpus: 1, pods: {name: 'a{99999999999}'}}}", "not a regular expr"),
        ("gpus: [{profile: t4, load: much}]", "gpus[0].load: is 'much'; expected a number from 0 to 100 or a mapping"),
        (
            "gpus: [{profile: t4, load: {kind: wva}}]",
            "gpus[0].load.kind: is 'wva'; expected one of constant, wave, steps, replay, demand",
        ),
        ("gpus: [{profile: t4, load: {kind: constant, percent: 3, high: 5}}]", "gpus[0].load.high: is not a known key"),
        (
            "gpus: [{profile: t4, values: {fan_speed_percent: 130}}]",
            "fan_speed_percent: is 130; expected a number from 0 to 100",
        ),
        ("gpus: [{profile: t4, load: {kind: wave}}]", "gpus[0].load.period_s: is missing"),
        (
            "gpus: [{profile: t4, load: {kind: wave, low_percent: 9, high_percent: 3, period_s: 1}}]",
            "gpus[0].load.low_percent: is 9, more than high_percent (3)",
        ),
        ("gpus: [{profile: t4, load: {kind: steps, steps: []}}]", "gpus[0].load.steps: is empty"),
        (
            "gpus: [{profile: t4, load: {kind: steps, steps: [{for_s: 0, percent: 1}]}}]",
            "gpus[0].load.steps[0].for_s: is 0; expected a number from 0.001 to 86400",
        ),
        (
            "gpus: [{profile: t4, load: {kind: replay, recording: x}}]",
            "gpus[0].load.recording: recording 'x' is not known",
        ),
        ("gpus: [{profile: t4, minor: 4}, {profile: t4, minor: 4}]", "gpus: has several GPUs with minor 4"),
        ("gpus: [{profile: t4, nvlink: true}]", "gpus[0].nvlink: is true, t4 has none"),
        (
            "gpus: [{profile: a100-sxm, nvlink: true, mig: [1g.10gb]}]",
            "gpus[0].nvlink: is true, a100-sxm has none where MIG divides it",
        ),
        ("gpus: [{profile: t4, mig: [1g.10gb]}]", "gpus[0].mig: is set, a t4 can't be divided"),
        ("gpus: [{profile: a100-sxm, mig: [9g.1gb]}]", "gpus[0].mig[0].profile: is '9g.1gb'; expected one of 1g.10gb"),
        (
            "gpus: [{profile: a100-sxm, mig: [{profile: 2g.20gb, compute: [2, 1]}]}]",
            "gpus[0].mig[0].compute: is [2, 1]; expected whole numbers with a sum of at most 2",
        ),
        ("gpus: [{profile: t4, values: {power: 3}}]", "gpus[0].values.power: is not a quantity; the quantities are"),
        (
            "gpus: [{profile: t4, values: {sm_clock_mhz: -1}}]",
            "gpus[0].values.sm_clock_mhz: is -1; expected a number of at least 0",
        ),
        ("gpus: [{profile: t4, values: {memory_used_bytes: {idle: 0, busy: 9e12}}}]", "memory_used_bytes.busy: is"),
        (
            "gpus: [{profile: t4, faults: [{kind: fire, at_s: 1}]}]",
            "gpus[0].faults[0].kind: is 'fire'; expected one of lost",
        ),
        (f"gpus: [{{profile: t4, faults: [{{kind: lost, at_s: {'9' * 100}}}]}}]", "at_s: is 999"),
        ("gpus: [{profile: t4, load: -1}]", "gpus[0].load: is -1; expected a number from 0 to 100"),
        (
            "gpus: [{profile: a100-sxm, mig: [1g.10gb], faults: [{kind: mig, at_s: 0, devices: [1]}]}]",
            "gpus[0].faults[0].devices: has 1, the GPU has 1 MIG devices",
        ),
        (
            "gpus: [{profile: t4, faults: [{kind: mig, at_s: 0}]}]",
            "gpus[0].faults[0].devices: has 0, the GPU has 0 MIG devices",
        ),
        (
            "gpus: [{profile: t4}]\nfaults: [{kind: lost, at_s: 0}]",
            "faults[0].kind: is 'lost'; expected one of missing",
        ),
        ("gpus: [{profile: t4, faults: [{kind: lost}]}]", "gpus[0].faults[0].at_s: is missing"),
        (
            "gpus: [{profile: t4, faults: [{kind: lost, at_s: 5, until_s: 4}]}]",
            "until_s: is 4; expected a number of at least 5",
        ),
        ("gpus: [{profile: t4, faults: [{kind: xid, at_s: 5}]}]", "gpus[0].faults[0].code: is missing"),
        (
            "gpus: [{profile: t4, faults: [{kind: hang, at_s: 5, functions: [nvmlGetOut]}]}]",
            "gpus[0].faults[0].functions: has 'nvmlGetOut'; expected names of pynvml's functions",
        ),
    ],
)
def test_a_wrong_scenario_names_file_key_and_reason(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scenario(text)
    assert str(caught.value).startswith("lab.yaml:")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


pods = st.lists(
    st.fixed_dictionaries(
        {"namespace": st.just("a"), "name": st.sampled_from("ab")},
        optional={
            "containers": st.lists(
                st.fixed_dictionaries(
                    {"gpus": st.lists(st.integers(-1, 2) | values, max_size=3)},
                    optional=dict.fromkeys(("name", "ids", "resource"), values),
                ),
                max_size=2,
            )
        },
    ),
    max_size=2,
)

demands = st.dictionaries(
    st.sampled_from("de"), st.fixed_dictionaries({"gpus": values}, optional={"pods": values}), max_size=2
)


@settings(max_examples=50, deadline=None)
@given(gpus, pods | values, demands | values)
def test_any_scenario_is_understood_or_refused_in_one_sentence(
    described: list[dict[str, object]], held: object, wanted: object
) -> None:
    try:
        MockNvml(parse_scenario(Section({"gpus": described, "pods": held, "demands": wanted}, "lab.yaml"), None), time)
    except ConfigError as error:
        sentence = str(error)
    else:
        sentence = "lab.yaml: gpus are good"
    assert sentence.startswith(("lab.yaml: gpus", "lab.yaml: pods", "lab.yaml: demands"))
    assert "\n" not in sentence


def test_the_documentations_example_is_a_scenario_and_its_quantities_are_all_that_there_are() -> None:
    text = (Path(__file__).parents[4] / "docs" / "mock.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert [gpu.profile.name for gpu in scenario(example).gpus] == [
        *["h100-sxm"] * 4,
        "a100-sxm",
        *["h100-sxm"] * 2,
        "t4",
    ]
    listed = text.partition("Quantities that `values` may set")[2].partition("## ")[0]
    assert {name for name in QUANTITIES if f"`{name}`" not in listed} == set()

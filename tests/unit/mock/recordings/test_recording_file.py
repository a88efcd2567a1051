import contextlib
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import RecordingError
from exporter.mock.recordings.recording import CallCost, Frame, Recording
from exporter.mock.recordings.recording_file import (
    MOST_BYTES,
    parse_recording,
    read_recording,
    render_recording,
    write_recording,
)

HEADER = {
    "format": "gpu-recording",
    "version": 1,
    "model": "NVIDIA H100 80GB HBM3",
    "driver": "580.159.04",
    "recorded_on": "2026-11-23",
    "about": "Idle.",
}
FRAME = {"t_s": 0.5, "values": {"sm_clock_mhz": 345}}

numbers = st.integers(-(2**63), 2**64) | st.floats(-1e18, 1e18)
frames = st.lists(
    st.tuples(st.floats(0.001, 100), st.dictionaries(st.text(max_size=20), numbers, max_size=4)), min_size=1, max_size=6
)


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def recording_of(steps: list[tuple[float, dict[str, float]]]) -> Recording:
    t_s = 0.0
    made = []
    for step_s, values in steps:
        t_s += step_s
        made.append(Frame(t_s, values))
    return Recording("NVIDIA H100 80GB HBM3", "580.159.04", "2026-11-23", "Idle.", tuple(made))


@settings(deadline=None)
@given(frames)
def test_what_is_written_is_read_back(steps: list[tuple[float, dict[str, float]]]) -> None:
    recording = recording_of(steps)
    assert parse_recording(render_recording(recording).encode(), "it") == recording


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.lists(st.floats(-1e6, 1e6), unique=True, max_size=4), max_size=3),
)
def test_texts_costs_and_rings_are_read_back(
    texts: dict[str, str], costs: dict[str, tuple[float, float]], rings: dict[str, list[float]]
) -> None:
    frame = Frame(0.0, {}, {name: tuple((t_s, -t_s) for t_s in sorted(times)) for name, times in rings.items()})
    spent = {name: CallCost(us, us * share) for name, (us, share) in costs.items()}
    recording = Recording("A", "1", "2026-01-01", "It.", (frame,), texts, spent)
    assert parse_recording(render_recording(recording).encode(), "it") == recording


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x1f\x8b" + tail))
def test_any_bytes_are_read_or_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(RecordingError, match=r"^some\.jsonl:") as caught:
        parse_recording(content, "some.jsonl")
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | numbers | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
)
def test_any_json_where_a_number_belongs_is_a_number_no_value_or_refused(value: object) -> None:
    content = lines(HEADER, {"t_s": 0, "values": {"sm_clock_mhz": value}})
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        assert parse_recording(content, "it").names() == (set() if value is None else {"sm_clock_mhz"})
    else:
        with pytest.raises(RecordingError, match=r"record 2: sm_clock_mhz: is .*, not a number"):
            parse_recording(content, "it")


whatever = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(whatever, whatever, whatever)
def test_any_json_for_texts_costs_and_rings_is_read_or_refused_by_its_name(
    texts: object, costs: object, rings: object
) -> None:
    content = lines({**HEADER, "texts": texts, "costs": costs}, {**FRAME, "rings": rings})
    with contextlib.suppress(RecordingError):
        recording = parse_recording(content, "it.jsonl")
        assert recording.texts == (texts or {})
        assert recording.costs.keys() == (costs or {}).keys()  # type: ignore[attr-defined]
        return
    with pytest.raises(RecordingError, match=r"^it\.jsonl: record [12]: (texts|costs|rings)"):
        parse_recording(content, "it.jsonl")


@pytest.mark.parametrize("name", ["plain.jsonl", "packed.jsonl.gz"])
def test_a_file_may_be_plain_or_compressed(tmp_path: Path, name: str) -> None:
    recording = recording_of([(1.0, {"sm_clock_mhz": 345})])
    write_recording(tmp_path / name, recording)
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert read_recording(tmp_path / name) == recording


def test_a_compressed_recording_has_no_time_of_writing_in_it(tmp_path: Path) -> None:
    write_recording(tmp_path / "it.gz", recording_of([(1.0, {"sm_clock_mhz": 345})]))
    assert (tmp_path / "it.gz").read_bytes()[4:8] == bytes(4)


def test_nan_and_null_mean_no_value() -> None:
    content = lines(HEADER, {"t_s": 0, "values": {"a": float("nan"), "b": None, "c": 1}}, FRAME)
    recording = parse_recording(content, "it")
    assert recording.names() == {"c", "sm_clock_mhz"}
    assert recording.series("a") == ((), ())


def test_unknown_quantities_and_header_fields_are_kept_out_of_the_way() -> None:
    recording = parse_recording(lines(HEADER | {"recorder": "9.9"}, {"t_s": 0, "values": {"from_the_future": 7}}), "it")
    assert recording.series("from_the_future") == ((0,), (7,))


def test_a_series_has_the_frames_that_have_the_quantity() -> None:
    recording = recording_of([(1.0, {"a": 1}), (1.0, {"b": 5}), (1.0, {"a": 3})])
    assert recording.series("a") == ((1.0, 3.0), (1, 3))
    assert recording.mean("a") == 2
    with pytest.raises(KeyError):
        recording.mean("c")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (lines(HEADER), "has a header and no frame"),
        (lines(HEADER | {"version": 2}, FRAME), "record 1: version: is 2, this program reads 1"),
        (lines(HEADER | {"format": "other"}, FRAME), "record 1: format: is 'other'"),
        (lines({**HEADER, "model": 3}, FRAME), "record 1: model: is a number, not text"),
        (lines(HEADER, FRAME, FRAME), "record 3: t_s: is 0.5, but each frame must be later"),
        (lines(HEADER, {"values": {}}), "record 2: t_s: is None"),
        (lines(HEADER, {"t_s": 0}), "record 2: values: is absent, not an object"),
        (lines(HEADER, {"t_s": 0, "values": {"x": True}}), "record 2: x: is a boolean, not a number"),
        (lines(HEADER, {"t_s": 0, "values": {"x": float("inf")}}), "record 2: x: is inf, out of the range"),
        (lines(HEADER, {"t_s": 0, "values": {"x": 10**400}}), "record 2: x: is 1000"),
        (lines(HEADER, {"t_s": 10**400, "values": {}}), "record 2: t_s: is 1000"),
        (lines(HEADER) + b'{"t_s": 0, "values": {"x": 1, "x": 2}}', "record 2: is not JSON: the key 'x' is repeated"),
        (lines(HEADER) + b"[" * 100_000, "record 2: is not JSON"),
        (gzip.compress(bytes(MOST_BYTES + 1)), "at most 32 MiB uncompressed"),
        (lines(HEADER, []), "record 2: is a list, not an object"),
        (lines({**HEADER, "texts": []}, FRAME), "record 1: texts: is a list, not an object"),
        (lines({**HEADER, "texts": {"vbios": 1}}, FRAME), "record 1: texts: vbios: is a number, not text"),
        (lines({**HEADER, "costs": {"f": 3}}, FRAME), "record 1: costs.f: is a number, not a pair of numbers"),
        (lines({**HEADER, "costs": {"f": [3, 4]}}, FRAME), "record 1: costs.f: is [3, 4]; expected microseconds"),
        (lines({**HEADER, "costs": {"f": [3, None]}}, FRAME), "record 1: costs.f: has no number; expected one"),
        (lines(HEADER, {**FRAME, "rings": {"x": 1}}), "record 2: rings.x: is a number, not a list"),
        (
            lines(HEADER, {**FRAME, "rings": {"x": [[1, 2], [1, 2]]}}),
            "record 2: rings.x: has 1 after 1, but each sample",
        ),
        (lines(HEADER) + b"{oh\n", "record 2: is not JSON"),
        (b"\xff\xfe", "broken.jsonl:1: it is not UTF-8 text"),
        (gzip.compress(lines(HEADER, FRAME))[:-9], "is damaged gzip"),
    ],
)
def test_a_damaged_recording_names_record_and_field(content: bytes, sentence: str) -> None:
    with pytest.raises(RecordingError) as caught:
        parse_recording(content, "broken.jsonl")
    assert str(caught.value).startswith("broken.jsonl:")
    assert sentence in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.jsonl: can't read the recording: No such file"):
        read_recording(tmp_path / "gone.jsonl")

from importlib.resources import files

from exporter.mock.recordings.packaged import packaged_recording, recording_names

MODELS = {"h100": "NVIDIA H100 80GB HBM3", "h200": "NVIDIA H200"}
MOST_BYTES = 200 * 1024


def test_every_packaged_recording_is_of_the_model_in_its_name_and_the_trace_covers_a_minute() -> None:
    assert {"h100-busy", "h100-idle", "h100-trace"} <= set(recording_names())
    for name in recording_names():
        assert packaged_recording(name).model == MODELS[name.partition("-")[0]]
    trace = packaged_recording("h100-trace")
    assert (len(trace.frames), trace.frames[-1].t_s) == (590, 61.795)


def test_packaged_recordings_are_small() -> None:
    sizes = [len(entry.read_bytes()) for entry in files("exporter.mock.recordings").iterdir() if ".jsonl" in entry.name]
    assert max(sizes) < MOST_BYTES

from exporter.mock.recordings.packaged import packaged_recording, recording_names


def test_every_packaged_recording_is_of_an_h100_and_the_trace_covers_a_minute() -> None:
    assert recording_names() == ("h100-busy", "h100-idle", "h100-trace")
    for name in recording_names():
        assert packaged_recording(name).model == "NVIDIA H100 80GB HBM3"
    trace = packaged_recording("h100-trace")
    assert (len(trace.frames), trace.frames[-1].t_s) == (590, 61.795)

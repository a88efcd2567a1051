import pytest

from exporter.mock.machine.drive import Drive
from exporter.mock.machine.loads import Load
from exporter.mock.machine.profile import Span
from exporter.mock.machine.replay import replay_load
from exporter.mock.machine.signals import Wave
from exporter.mock.recordings.packaged import packaged_recording


def test_a_forced_level_replaces_a_replay_as_a_whole_until_it_is_let_go() -> None:
    recording = packaged_recording("h100-trace")
    drive = Drive(replay_load(recording, repeats=True))
    clock_mhz = drive.quantity("sm_clock_mhz", Span(300, 1980))
    recorded = [clock_mhz.value(t) for t in (0, 15, 35)]
    drive.force(0.5, 10.0)
    assert [clock_mhz.value(t) for t in (0, 15, 35)] == [recorded[0], 1140, 1140]
    drive.let_go(20.0)
    assert [clock_mhz.value(t) for t in (0, 15, 35)] == [recorded[0], 1140, recorded[2]]
    assert drive.activity.value(15) == 0.5
    assert drive.activity.value(35) == pytest.approx(0.99, abs=0.02)


def test_a_wave_goes_on_underneath_a_forced_level() -> None:
    wave = Wave(0, 1, 40)
    drive = Drive(Load(wave))
    drive.force(0.25, 5.0)
    drive.let_go(15.0)
    assert [drive.activity.value(t) for t in (4, 5, 14, 15)] == [wave.value(4), 0.25, 0.25, wave.value(15)]

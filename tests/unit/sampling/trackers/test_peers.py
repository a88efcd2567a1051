import pynvml

from exporter.catalogue.convert import same
from exporter.catalogue.reading import Field, Tracked, Tracker
from tests.unit.sampling.trackers.bench import Bench

BY_NVLINK = Tracked(Tracker.PEERS, (pynvml.NVML_P2P_CAPS_INDEX_NVLINK,), (Field("PEERS", same),))
BY_READING = Tracked(Tracker.PEERS, (pynvml.NVML_P2P_CAPS_INDEX_READ,), (Field("READS", same),))


def test_a_gpu_that_is_alone_reaches_none() -> None:
    assert Bench(Tracker.PEERS, "{profile: h100-sxm, nvlink: true}").read(BY_NVLINK) == [0]


def test_gpus_of_one_machine_are_bits_by_their_index() -> None:
    bench = Bench(
        Tracker.PEERS, "{profile: h100-sxm, nvlink: true}, {profile: h100-sxm}, {profile: h100-sxm, nvlink: true}"
    )
    assert bench.read(BY_NVLINK, BY_READING) == [0b100, 0b110]

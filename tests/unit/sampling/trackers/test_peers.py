import pynvml

from exporter.catalogue.peers import mask_of
from exporter.catalogue.reading import Field, Scope, Tracked, Tracker
from exporter.model import Reason
from tests.unit.faulty_nvml import failing
from tests.unit.sampling.trackers.bench import Bench

BY_NVLINK = Tracked(Tracker.PEERS, (pynvml.NVML_P2P_CAPS_INDEX_NVLINK,), (Field("PEERS", mask_of),))
BY_READING = Tracked(Tracker.PEERS, (pynvml.NVML_P2P_CAPS_INDEX_READ,), (Field("READS", mask_of),))
EACH = Tracked(Tracker.PEERS, (pynvml.NVML_P2P_CAPS_INDEX_NVLINK,), (Field("EACH", mask_of),), Scope.PEER)
THREE = "{profile: h100-sxm, nvlink: true}, {profile: h100-sxm}, {profile: h100-sxm, nvlink: true}"


def test_a_gpu_that_is_alone_reaches_none() -> None:
    bench = Bench(Tracker.PEERS, "{profile: h100-sxm, nvlink: true}")
    assert bench.read(BY_NVLINK) == [{}]
    assert bench.read(EACH) == []


def test_each_capability_has_the_status_of_each_other_gpu() -> None:
    assert Bench(Tracker.PEERS, THREE).read(BY_NVLINK, BY_READING) == [{1: 5, 2: 0}, {1: 0, 2: 0}]


def test_a_reading_of_each_peer_has_an_answer_for_each_and_no_peer_is_asked_twice() -> None:
    bench = Bench(Tracker.PEERS, THREE)
    assert bench.read(BY_NVLINK, EACH) == [{1: 5, 2: 0}, (1, 5), (2, 0)]
    assert bench.nvml.calls["nvmlDeviceGetP2PStatus"] == 2


def test_a_driver_that_gives_no_status_has_one_reason() -> None:
    bench = Bench(Tracker.PEERS, THREE)
    bench.nvml.replaced["nvmlDeviceGetP2PStatus"] = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert bench.read(BY_NVLINK, EACH) == [Reason.NOT_SUPPORTED, Reason.NOT_SUPPORTED]

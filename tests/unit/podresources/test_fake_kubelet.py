import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from podresources.client import PodResourcesClient
from podresources.errors import PodResourcesError, Unreachable
from podresources.fake_kubelet import FakeKubelet, Hang, RateLimit, Slow
from podresources.fake_pods import Container, Pod
from podresources.v1.podresources_pb2 import ListPodResourcesResponse
from tests.unit.fake_clock import FakeClock

PODS = [Pod("prod", "infer", [Container("main", {"nvidia.com/gpu": [f"GPU-{n}" for n in range(8)]})])]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


@pytest.fixture
def client(path: Path) -> Iterator[PodResourcesClient]:
    client = PodResourcesClient(path)
    yield client
    client.close()


def answers(client: PodResourcesClient) -> bool:
    try:
        client.list()
    except PodResourcesError:
        return False
    return True


def test_it_leaves_a_stale_socket_while_stopped_and_nothing_in_the_end(path: Path, client: PodResourcesClient) -> None:
    with FakeKubelet(path) as kubelet:
        assert answers(client)
        kubelet.stop()
        with socket.socket(socket.AF_UNIX) as visitor, pytest.raises(ConnectionRefusedError):
            visitor.connect(str(path))
        kubelet.stop()
        kubelet.start()
        assert answers(client)
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match=r"can't listen on .*kubelet\.sock: there is something other"):
        FakeKubelet(path).start()
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="existing, writable directory"):
        FakeKubelet(tmp_path / "absent" / "kubelet.sock").start()


def test_ids_have_entries_of_their_own_in_changing_order(path: Path) -> None:
    with FakeKubelet(path, PODS), grpc.insecure_channel(f"unix:{path}") as channel:
        call: Any = channel.unary_unary("/v1.PodResourcesLister/List", None, ListPodResourcesResponse.FromString)
        lists = [call(b"", timeout=5).pod_resources[0].containers[0].devices for _ in range(10)]
    orders = [tuple(device_id for entry in entries for device_id in entry.device_ids) for entries in lists]
    assert {len(entries) for entries in lists} == {8}
    assert {frozenset(order) for order in orders} == {frozenset(PODS[0].containers[0].devices["nvidia.com/gpu"])}
    assert len(set(orders)) > 1


def test_the_rate_limit_has_a_burst_and_fills_up_again(path: Path, client: PodResourcesClient) -> None:
    clock = FakeClock()
    with FakeKubelet(path, clock=clock) as kubelet:
        kubelet.set_fault(RateLimit(per_second=2, burst=3))
        assert [answers(client) for _ in range(5)] == [True, True, True, False, False]
        clock.now += 1
        assert [answers(client) for _ in range(3)] == [True, True, False]
        clock.now += 60
        assert [answers(client) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("fault", [Hang(), Slow(60)])
def test_calls_that_wait_are_answered_when_the_fault_ends(path: Path, fault: Hang | Slow) -> None:
    client = PodResourcesClient(path, deadline_s=30)
    with FakeKubelet(path, PODS) as kubelet, ThreadPoolExecutor(1) as threads:
        kubelet.set_fault(fault)
        listed = threads.submit(client.list)
        assert not listed.done()
        kubelet.set_fault(None)
        assert len(listed.result(10)) == 8
    client.close()


def test_more_hung_calls_than_workers_do_no_harm_once_the_fault_ends(path: Path) -> None:
    clients = [PodResourcesClient(path, deadline_s=0.1) for _ in range(8)]
    with FakeKubelet(path, PODS) as kubelet, ThreadPoolExecutor(8) as threads:
        kubelet.set_fault(Hang())
        assert not any(threads.map(answers, clients))
        kubelet.set_fault(None)
        assert len(PodResourcesClient(path).list()) == 8
    for client in clients:
        client.close()


def test_faults_and_pods_outlast_a_restart(path: Path, client: PodResourcesClient) -> None:
    with FakeKubelet(path) as kubelet:
        kubelet.set_pods(PODS)
        kubelet.set_fault(RateLimit(per_second=0, burst=0))
        kubelet.restart()
        with pytest.raises(Unreachable):
            client.list()
        kubelet.set_fault(None)
        assert len(client.list()) == 8

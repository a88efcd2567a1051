"""kubelet's own answers, as the project takes them for true; what the exporter makes of them stands on these."""

import time

import grpc

from podresources.allocations import Allocations
from podresources.client import PodResourcesClient
from podresources.device_plugin import VISIBLE_DEVICES, DevicePlugin
from podresources.errors import PodResourcesError
from podresources.v1 import SERVICE
from podresources.v1.podresources_pb2 import ListPodResourcesRequest, ListPodResourcesResponse
from tests.kubelet.holders import held_in, wait_for_holders
from tests.kubelet.pods import container, pod
from tests.kubelet.real_node import RealNode
from tests.kubelet.recorder import Recorder
from tests.waiting import PATIENCE_S, NotYet, wait_for


def gpu_of(device_id: str) -> str:
    return device_id.partition("::")[0]


def test_a_pod_with_one_gpu_is_listed_with_the_uuid_that_its_container_was_given(
    node: RealNode, plugin: DevicePlugin, client: PodResourcesClient
) -> None:
    one = pod("one", container(gpus=1))
    node.run(one)
    [(uuid, *none)] = held_in(client.list()).values()
    assert not none
    assert uuid in plugin.ids
    assert node.environment_of(one, "main")[VISIBLE_DEVICES] == uuid
    node.delete(one)
    wait_for_holders(client)


def test_a_container_with_several_gpus_is_listed_with_each(node: RealNode, client: PodResourcesClient) -> None:
    three, all_others = pod("three", container(gpus=3)), pod("five", container(gpus=5))
    node.run(three, all_others)
    held = wait_for_holders(client, "default/three/main", "default/five/main")
    assert len(held["default/three/main"]) == 3
    assert len(held["default/five/main"]) == 5
    assert not held["default/three/main"] & held["default/five/main"]
    given = node.environment_of(three, "main")[VISIBLE_DEVICES]
    assert set(given.split(",")) == held["default/three/main"]


def test_two_containers_of_a_pod_are_listed_with_their_own_gpus(node: RealNode, client: PodResourcesClient) -> None:
    pair = pod("pair", container("server", gpus=1), container("trainer", gpus=2), container("logs"))
    node.run(pair)
    held = wait_for_holders(client, "default/pair/server", "default/pair/trainer")
    assert len(held["default/pair/server"] | held["default/pair/trainer"]) == 3
    for name in ("server", "trainer"):
        assert set(node.environment_of(pair, name)[VISIBLE_DEVICES].split(",")) == held[f"default/pair/{name}"]


def test_equal_pod_names_in_two_namespaces_are_two_holders(node: RealNode, client: PodResourcesClient) -> None:
    node.create_namespace("other")
    node.run(pod("same", container(gpus=1)), pod("same", container(gpus=1), namespace="other"))
    held = wait_for_holders(client, "default/same/main", "other/same/main")
    assert not held["default/same/main"] & held["other/same/main"]


def test_main_containers_are_listed_while_an_init_container_still_uses_the_gpu(
    node: RealNode, client: PodResourcesClient
) -> None:
    """An init container's GPU is the main container's already; only a sidecar is listed under its own name."""
    until_told = "until [ -e /go ]; do sleep 0.1; done"
    prepared = pod("prepared", container(gpus=1), init=[container("prepare", gpus=1, command=until_told)])
    sidecar = container("proxy", gpus=1, restartPolicy="Always")
    accompanied = pod("accompanied", container(gpus=1), init=[sidecar])
    only_init = pod("only-init", container(), init=[container("prepare", gpus=1, command=until_told)])
    node.create(prepared, only_init)
    node.run(accompanied)
    holders = ("default/prepared/main", "default/accompanied/main", "default/accompanied/proxy")
    before = wait_for_holders(client, *holders)
    for waiting in (prepared, only_init):
        node.wait_for_containers(waiting, "prepare")
    assert held_in(client.list()) == before
    for waiting in (prepared, only_init):
        node.execute(waiting, "prepare", "touch", "/go")
        node.wait_for_containers(waiting, "main")
    assert wait_for_holders(client, *holders) == before


def test_pods_that_share_a_time_sliced_gpu_are_listed_with_a_replica_each(
    node: RealNode, plugin: DevicePlugin, client: PodResourcesClient, uuids: tuple[str, ...]
) -> None:
    plugin.offer(uuids[:1], replicas=4)
    node.wait_for_offer(plugin)
    twice = pod("twice", container(gpus=2))
    node.run(pod("left", container(gpus=1)), pod("right", container(gpus=1)), twice)
    held = wait_for_holders(client, "default/left/main", "default/right/main", "default/twice/main")
    assert sorted(name for ids in held.values() for name in ids) == [f"{uuids[0]}::{number}" for number in range(4)]
    assert len(held["default/twice/main"]) == 2
    assert {gpu_of(name) for ids in held.values() for name in ids} == {uuids[0]}
    assert node.environment_of(twice, "main")[VISIBLE_DEVICES] == uuids[0]


def test_a_gpu_goes_from_a_pod_that_ends_to_the_one_that_waits_for_it(
    node: RealNode, plugin: DevicePlugin, client: PodResourcesClient, uuids: tuple[str, ...]
) -> None:
    plugin.offer(uuids[:1])
    node.wait_for_offer(plugin)
    first, second = pod("first", container(gpus=1, command="sleep 2")), pod("second", container(gpus=1))
    with Recorder(node.pod_resources_socket) as recorder:
        node.create(first)
        wait_for_holders(client, "default/first/main")
        node.create(second)
        node.wait_for_phase("Succeeded", first)
        node.wait_for_containers(second, "main")
        wait_for_holders(client, "default/second/main")
        node.delete(second)
        wait_for_holders(client)
    assert all(answer.allocations is not None for answer in recorder.answers)
    states = [set(held_in(answer.allocations or ())) for answer in recorder.answers]
    steps = [state for state, earlier in zip(states, [None, *states], strict=False) if state != earlier]
    owners = [owner for step in steps for owner in step]
    assert owners == ["default/first/main", "default/second/main"], steps


def test_a_restart_of_kubelet_replaces_its_socket_and_keeps_every_owner(
    node: RealNode, plugin: DevicePlugin, client: PodResourcesClient
) -> None:
    node.run(pod("one", container(gpus=1)), pod("two", container(gpus=2)))
    before, socket_before = client.list(), node.pod_resources_socket.stat().st_ino
    with Recorder(node.pod_resources_socket) as recorder:
        wait_for("kubelet's answer", recorder.must_hear)
        node.stop_kubelet()
        wait_for("kubelet's silence", recorder.must_hear_nothing)
        assert node.pod_resources_socket.exists(), "the socket stays behind"
        assert set(recorder.true_between(time.monotonic(), time.monotonic())) == {before}
        node.start_kubelet()
        node.wait_until_ready()
        node.wait_for_offer(plugin)
    assert node.pod_resources_socket.stat().st_ino != socket_before
    assert client.list() == before
    # For about a second, until it has the node's pods from the API server, a new kubelet lists nobody.
    assert {answer.allocations for answer in recorder.answers} <= {before, None, ()}
    node.run(pod("later", container(gpus=5)))
    held = wait_for_holders(client, "default/one/main", "default/two/main", "default/later/main")
    assert len(set().union(*held.values())) == 8


def test_a_kubelet_that_starts_without_the_api_server_lists_nobody_until_it_is_back(
    node: RealNode, client: PodResourcesClient
) -> None:
    """A good answer, and an untrue one: the pods run all the while."""
    node.run(pod("one", container(gpus=1)))
    before = client.list()
    with Recorder(node.pod_resources_socket) as recorder, node.cluster.without_api_server():
        node.stop_kubelet()
        wait_for("kubelet's silence", recorder.must_hear_nothing)
        silent = len(recorder.answers)
        node.start_kubelet()
        wait_for("kubelet's answer", recorder.must_hear)
        assert {answer.allocations for answer in recorder.answers[silent:]} <= {None, ()}
    node.wait_until_ready()
    assert wait_for_holders(client, "default/one/main") == held_in(before)


def test_kubelet_refuses_most_of_300_lists_at_once_and_answers_the_next(
    node: RealNode, client: PodResourcesClient
) -> None:
    node.run(pod("one", container(gpus=1)))
    before = client.list()
    with grpc.insecure_channel(f"unix:{node.pod_resources_socket}") as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/List", ListPodResourcesRequest.SerializeToString, ListPodResourcesResponse.FromString
        )
        asked = [call.future(ListPodResourcesRequest(), timeout=PATIENCE_S) for _ in range(300)]
        codes = [one.code() for one in asked]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) > 150

    def look() -> Allocations:
        try:
            return client.list()
        except PodResourcesError as error:
            raise NotYet(str(error)) from None

    assert wait_for("kubelet's answer", look) == before

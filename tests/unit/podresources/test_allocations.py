import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podresources.allocations import Allocation, Allocations, ClaimAllocation, parse_allocations
from podresources.client import PodResourcesClient
from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import ClaimedDevice, Container, Pod, ResourceClaim, list_answer
from podresources.v1 import podresources_pb2 as v1

GPU = "nvidia.com/gpu"
ANY_ORDER = Random(0)  # noqa: S311 - no secret

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
claimed_devices = st.builds(ClaimedDevice, names, names, names, names, st.lists(names, max_size=2))
claims = st.builds(ResourceClaim, names, names, st.lists(claimed_devices, max_size=3))
devices = st.dictionaries(names, st.lists(names, max_size=4), max_size=3)
containers = st.builds(Container, names, devices, st.lists(claims, max_size=2))
pods = st.lists(st.builds(Pod, names, names, st.lists(containers, max_size=3)), max_size=6)


def held_by(pods: list[Pod]) -> set[Allocation | ClaimAllocation]:
    """Say who holds what, from what the fake kubelet was told and not from what it answered."""
    found: set[Allocation | ClaimAllocation] = set()
    for pod in pods:
        for container in pod.containers:
            owner = (pod.namespace, pod.name, container.name)
            for resource, ids in container.devices.items():
                found.update(Allocation(*owner, resource, device_id) for device_id in ids)
            for claim in container.claims:
                found.update(
                    ClaimAllocation(*owner, d.driver, d.pool, d.name, claim.namespace, claim.name, d.share_id)
                    for d in claim.devices
                )
    return found


@pytest.fixture(scope="module")
def kubelet_and_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeKubelet, PodResourcesClient]]:
    path = tmp_path_factory.mktemp("kubelet") / "kubelet.sock"
    client = PodResourcesClient(path)
    with FakeKubelet(path) as kubelet:
        yield kubelet, client
    client.close()


@given(pods=pods)
@settings(max_examples=40)
def test_what_kubelet_is_told_comes_back_over_the_socket(
    kubelet_and_client: tuple[FakeKubelet, PodResourcesClient], pods: list[Pod]
) -> None:
    kubelet, client = kubelet_and_client
    kubelet.set_pods(pods)
    allocations = client.list()
    assert set(allocations) == held_by(pods)
    assert len(set(allocations)) == len(allocations)


@settings(max_examples=40)
@given(pods=pods, one=st.randoms(), other=st.randoms())
def test_allocations_do_not_depend_on_the_order_of_the_answer(pods: list[Pod], one: Random, other: Random) -> None:
    answers = (list_answer(pods, one), list_answer(reversed(pods), other))
    first, second = map(parse_allocations, answers)
    assert first == second


def parsed(*pods: v1.PodResources) -> Allocations:
    return parse_allocations(v1.ListPodResourcesResponse(pod_resources=pods))


def test_an_empty_answer_is_no_allocation() -> None:
    assert parsed() == ()


def test_pods_without_containers_and_containers_without_devices_hold_nothing() -> None:
    empty = v1.ContainerDevices(resource_name=GPU)
    idle = v1.ContainerResources(name="idle", devices=[empty], dynamic_resources=[v1.DynamicResource(claim_name="c")])
    assert parsed(v1.PodResources(name="none"), v1.PodResources(name="idle", containers=[idle])) == ()


def test_ids_in_entries_of_their_own_are_the_same_as_ids_in_one_entry() -> None:
    def container(*entries: list[str]) -> v1.PodResources:
        devices = [v1.ContainerDevices(resource_name=GPU, device_ids=ids) for ids in entries]
        held = v1.ContainerResources(name="main", devices=devices)
        return v1.PodResources(namespace="prod", name="infer", containers=[held])

    expected = tuple(Allocation("prod", "infer", "main", GPU, device_id) for device_id in ("GPU-1", "GPU-2"))
    assert parsed(container(["GPU-2"], ["GPU-1"])) == expected
    assert parsed(container(["GPU-1", "GPU-2"])) == expected
    assert parsed(container(["GPU-1"], ["GPU-2"], ["GPU-1"])) == expected


def test_pods_of_one_name_in_two_namespaces_and_containers_of_one_pod_are_kept_apart() -> None:
    held = [
        Allocation(namespace, "infer", container, GPU, "GPU-1") for namespace in "ab" for container in ("main", "side")
    ]
    told = [Pod(ns, "infer", [Container(name, {GPU: ["GPU-1"]}) for name in ("main", "side")]) for ns in "ab"]
    assert parse_allocations(list_answer(told, ANY_ORDER)) == tuple(held)


def test_a_claim_that_two_pods_share_is_held_by_each() -> None:
    claim = ResourceClaim("prod", "shared", [ClaimedDevice("gpu.nvidia.com", "node-1", "gpu-0")])
    told = [Pod("prod", name, [Container("main", claims=[claim])]) for name in ("one", "two")]
    assert parse_allocations(list_answer(told, ANY_ORDER)) == tuple(
        ClaimAllocation("prod", pod, "main", "gpu.nvidia.com", "node-1", "gpu-0", "prod", "shared")
        for pod in ("one", "two")
    )


def test_data_and_poller_bring_neither_grpc_nor_protobuf_into_memory() -> None:
    program = (
        "import sys, podresources.allocations, podresources.errors, podresources.poller\n"
        "print([name for name in ('grpc', 'google.protobuf') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    answer = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"

"""Our PodResources messages, client and fake kubelet against the API as Kubernetes publishes it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles

from podresources.allocations import Allocation, ClaimAllocation
from podresources.client import PodResourcesClient
from podresources.fake_kubelet import AnswerBytes, FakeKubelet
from podresources.fake_pods import ClaimedDevice, Container, Pod, ResourceClaim
from podresources.v1 import podresources_pb2
from tests.tools.build import cache_folder

PUBLISHED = "k8s.io/kubelet@v0.37.2"
SERVICE = "v1.PodResourcesLister"
METHODS = {
    "List": ("ListPodResourcesRequest", "ListPodResourcesResponse"),
    "GetAllocatableResources": ("AllocatableResourcesRequest", "AllocatableResourcesResponse"),
    "Get": ("GetPodResourcesRequest", "GetPodResourcesResponse"),
}
FACTS = """
AllocatableResourcesRequest
AllocatableResourcesResponse.devices = 1 repeated ContainerDevices
AllocatableResourcesResponse.cpu_ids = 2 repeated int64
AllocatableResourcesResponse.memory = 3 repeated ContainerMemory
CDIDevice.name = 1 string
ClaimResource.cdi_devices = 1 repeated CDIDevice
ClaimResource.driver_name = 2 string
ClaimResource.pool_name = 3 string
ClaimResource.device_name = 4 string
ClaimResource.share_id = 5 optional string
ContainerDevices.resource_name = 1 string
ContainerDevices.device_ids = 2 repeated string
ContainerDevices.topology = 3 TopologyInfo
ContainerMemory.memory_type = 1 string
ContainerMemory.size = 2 uint64
ContainerMemory.topology = 3 TopologyInfo
ContainerResources.name = 1 string
ContainerResources.devices = 2 repeated ContainerDevices
ContainerResources.cpu_ids = 3 repeated int64
ContainerResources.memory = 4 repeated ContainerMemory
ContainerResources.dynamic_resources = 5 repeated DynamicResource
DynamicResource.claim_name = 2 string
DynamicResource.claim_namespace = 3 string
DynamicResource.claim_resources = 4 repeated ClaimResource
GetPodResourcesRequest.pod_name = 1 string
GetPodResourcesRequest.pod_namespace = 2 string
GetPodResourcesResponse.pod_resources = 1 PodResources
ListPodResourcesRequest
ListPodResourcesResponse.pod_resources = 1 repeated PodResources
NUMANode.ID = 1 int64
PodResources.name = 1 string
PodResources.namespace = 2 string
PodResources.containers = 3 repeated ContainerResources
PodResources.cpu_ids = 4 repeated int64
PodResources.memory = 5 repeated ContainerMemory
TopologyInfo.nodes = 1 repeated NUMANode
"""
"""Every message and field of the published api.proto."""

Messages = Mapping[str, Any]
Field = FileDescriptorProto.DESCRIPTOR.file.message_types_by_name["FieldDescriptorProto"]


# The API in three forms, none of them made from our own proto: facts, descriptors, message classes.


def facts_of(file: FileDescriptorProto) -> list[str]:
    found = []
    for message in file.message_type:
        if not message.field:
            found.append(message.name)
        for field in message.field:
            kind = Field.enum_types_by_name["Type"].values_by_number[field.type].name.removeprefix("TYPE_").lower()
            kind = field.type_name.rpartition(".")[2] or kind
            label = "repeated " if field.label == field.LABEL_REPEATED else "optional " * field.proto3_optional
            found.append(f"{message.name}.{field.name} = {field.number} {label}{kind}")
    return sorted(found)


def file_of_facts() -> FileDescriptorProto:
    file = FileDescriptorProto(name="facts.proto", package="v1", syntax="proto3")
    messages: dict[str, Any] = {}
    for fact in FACTS.split("\n"):
        name, _, rest = fact.partition(".")
        if name and name not in messages:
            messages[name] = file.message_type.add(name=name)
        if rest:
            _add_field(messages[name], rest)
    return file


def _add_field(message: Any, fact: str) -> None:
    name, _, number, *label, kind = fact.split()
    field = message.field.add(name=name, number=int(number), label=3 if label == ["repeated"] else 1)
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".v1.{kind}"
    else:
        field.type = field.Type.Value(f"TYPE_{kind.upper()}")
    if label == ["optional"]:
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def published_proto() -> Path:
    """Return Kubernetes' own api.proto out of a Go module cache; skip where nobody has put it there."""
    is_required = os.environ.get("REQUIRE_ALL_TOOLS") == "1"
    go = shutil.which("go")
    if go is not None:
        proxy = {} if is_required else {"GOPROXY": "off"}
        cache = {"GOMODCACHE": f"{cache_folder()}/go/mod"}  # where tests/tools keeps what it builds from
        environment = {**cache, **os.environ, "GOFLAGS": "", "GOWORK": "off", **proxy}
        command = [go, "mod", "download", "-json", PUBLISHED]
        answer = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return Path(json.loads(answer.stdout)["Dir"], "pkg/apis/podresources/v1/api.proto")
    absent = f"{PUBLISHED} is in no Go module cache; REQUIRE_ALL_TOOLS=1 lets this test fetch it"
    if is_required:
        pytest.fail(absent)
    pytest.skip(absent)


def compiled(proto: Path, target: Path) -> FileDescriptorProto:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto.parent}", f"--descriptor_set_out={target}"]
    subprocess.run([*command, str(proto)], check=True)
    (file,) = FileDescriptorSet.FromString(target.read_bytes()).file
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")  # follows from the name, and stubs leave it out
    return file


def messages_of(file: FileDescriptorProto) -> Messages:
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    classes = GetMessageClassesForFiles([file.name], pool)
    return {name.removeprefix("v1."): message for name, message in classes.items()}


@pytest.fixture(params=["facts", "published file"])
def messages(request: pytest.FixtureRequest, tmp_path: Path) -> Messages:
    if request.param == "facts":
        return messages_of(file_of_facts())
    return messages_of(compiled(published_proto(), tmp_path / "published"))


@contextmanager
def kubelet_answering(path: Path, messages: Messages, answer: Any) -> Iterator[None]:
    """Serve List with the API's own messages, none of ours."""
    method: Callable[[Any, Any], Any] = lambda _request, _context: answer  # noqa: E731 - a handler of one line
    handler: Any = grpc.unary_unary_rpc_method_handler(
        method,
        request_deserializer=messages["ListPodResourcesRequest"].FromString,
        response_serializer=messages["ListPodResourcesResponse"].SerializeToString,
    )
    with ThreadPoolExecutor(1) as workers:
        server = grpc.server(workers, [grpc.method_handlers_generic_handler(SERVICE, {"List": handler})])
        server.add_insecure_port(f"unix:{path}")
        server.start()
        yield
        server.stop(None).wait()


def everything(messages: Messages) -> Any:
    """Return a List answer that uses every field there is."""
    topology = messages["TopologyInfo"](nodes=[messages["NUMANode"](ID=1)])
    memory = messages["ContainerMemory"](memory_type="memory", size=1 << 40, topology=topology)
    device = messages["ContainerDevices"](resource_name="nvidia.com/gpu", device_ids=["GPU-1"], topology=topology)
    claimed = messages["ClaimResource"](
        cdi_devices=[messages["CDIDevice"](name="k8s.gpu.nvidia.com/claim=gpu-2")],
        driver_name="gpu.nvidia.com",
        pool_name="node-1",
        device_name="gpu-2",
        share_id="share-3",
    )
    container = messages["ContainerResources"](
        name="main",
        devices=[device],
        cpu_ids=[0, 127],
        memory=[memory],
        dynamic_resources=[
            messages["DynamicResource"](claim_name="claim", claim_namespace="claims", claim_resources=[claimed])
        ],
    )
    pod = messages["PodResources"](
        name="infer", namespace="prod", containers=[container], cpu_ids=[0, 127], memory=[memory]
    )
    return messages["ListPodResourcesResponse"](pod_resources=[pod])


EVERYTHING = (
    ClaimAllocation("prod", "infer", "main", "gpu.nvidia.com", "node-1", "gpu-2", "claims", "claim", "share-3"),
    Allocation("prod", "infer", "main", "nvidia.com/gpu", "GPU-1"),
)


def test_our_messages_have_the_published_names_numbers_and_types() -> None:
    ours = FileDescriptorProto()
    podresources_pb2.DESCRIPTOR.CopyToProto(ours)
    assert facts_of(ours) == sorted(FACTS.split("\n")[1:-1])
    assert ours.package == "v1"


def test_our_service_has_the_published_name_and_methods() -> None:
    service = podresources_pb2.DESCRIPTOR.services_by_name["PodResourcesLister"]
    assert service.full_name == SERVICE
    assert {m.name: (m.input_type.name, m.output_type.name) for m in service.methods} == METHODS


def test_the_facts_are_those_of_kubernetes_own_file(tmp_path: Path) -> None:
    published = compiled(published_proto(), tmp_path / "published")
    (service,) = published.service
    methods = {m.name: tuple(t.removeprefix(".v1.") for t in (m.input_type, m.output_type)) for m in service.method}
    assert facts_of(published) == sorted(FACTS.split("\n")[1:-1])
    assert (f"{published.package}.{service.name}", methods) == (SERVICE, METHODS)


def test_the_committed_stubs_are_those_of_the_committed_proto(tmp_path: Path) -> None:
    ours = FileDescriptorProto()
    podresources_pb2.DESCRIPTOR.CopyToProto(ours)
    proto = Path(podresources_pb2.__file__).with_name("podresources.proto")
    again = compiled(proto, tmp_path / "ours")
    again.name = ours.name
    assert again == ours


def test_client_reads_a_server_made_of_the_published_api(messages: Messages, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.sock"
    client = PodResourcesClient(path)
    with kubelet_answering(path, messages, everything(messages)):
        assert client.list() == EVERYTHING
    client.close()


def test_a_client_made_of_the_published_api_reads_the_fake_kubelet(messages: Messages, tmp_path: Path) -> None:
    claim = ResourceClaim("claims", "claim", [ClaimedDevice("gpu.nvidia.com", "node-1", "gpu-2", "share-3", ["cdi"])])
    pod = Pod("prod", "infer", [Container("main", {"nvidia.com/gpu": ["GPU-1"]}, [claim])])
    path = tmp_path / "kubelet.sock"

    def ask(method: str, **wanted: str) -> Any:
        request, answer = METHODS[method]
        call: Any = channel.unary_unary(
            f"/{SERVICE}/{method}", messages[request].SerializeToString, messages[answer].FromString
        )
        return call(messages[request](**wanted), timeout=2)

    with FakeKubelet(path, [pod], {"nvidia.com/gpu": ["GPU-9"]}), grpc.insecure_channel(f"unix:{path}") as channel:
        (listed,) = ask("List").pod_resources
        assert ask("Get", pod_namespace="prod", pod_name="infer").pod_resources == listed
        assert ask("GetAllocatableResources").devices[0].device_ids == ["GPU-9"]
        with pytest.raises(grpc.RpcError, match="pod other in namespace prod not found"):
            ask("Get", pod_namespace="prod", pod_name="other")
    (container,) = listed.containers
    (device,) = container.devices
    (dynamic,) = container.dynamic_resources
    (claimed,) = dynamic.claim_resources
    assert (listed.namespace, listed.name, container.name) == ("prod", "infer", "main")
    assert (device.resource_name, list(device.device_ids)) == ("nvidia.com/gpu", ["GPU-1"])
    assert (dynamic.claim_namespace, dynamic.claim_name) == ("claims", "claim")
    assert (claimed.driver_name, claimed.pool_name, claimed.device_name) == ("gpu.nvidia.com", "node-1", "gpu-2")
    assert (claimed.share_id, [device.name for device in claimed.cdi_devices]) == ("share-3", ["cdi"])


def field(number: int, content: bytes) -> bytes:
    """Encode a string or message of less than 128 bytes as the protobuf specification says."""
    return bytes([number << 3 | 2, len(content)]) + content


def test_client_reads_bytes_encoded_by_hand_and_passes_over_fields_of_the_future(tmp_path: Path) -> None:
    device = field(1, b"nvidia.com/gpu") + field(2, b"GPU-1") + field(3, field(1, b"\x08\x01"))
    claimed = field(2, b"gpu.nvidia.com") + field(3, b"node-1") + field(4, b"gpu-2") + field(5, b"share-3")
    dynamic = field(2, b"claim") + field(3, b"claims") + field(4, claimed)
    container = field(1, b"main") + field(2, device) + field(3, b"\x00\x7f") + field(5, dynamic) + field(15, b"new")
    answer = field(1, field(1, b"infer") + field(2, b"prod") + field(3, container))
    client = PodResourcesClient(tmp_path / "kubelet.sock")
    with FakeKubelet(tmp_path / "kubelet.sock") as kubelet:
        kubelet.set_fault(AnswerBytes(answer))
        assert client.list() == EVERYTHING
    client.close()

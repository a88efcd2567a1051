"""The exporter beside a real kubelet: every owner that it shows was true a moment ago, whatever happens."""

from collections.abc import Iterator

import grpc
import pytest

from podresources.client import PodResourcesClient
from podresources.device_plugin import DevicePlugin
from podresources.v1 import SERVICE
from podresources.v1.podresources_pb2 import ListPodResourcesRequest, ListPodResourcesResponse
from tests.kubelet.exporter_run import ExporterRun, owners_by
from tests.kubelet.pods import container, pod
from tests.kubelet.real_node import RealNode
from tests.kubelet.recorder import Recorder
from tests.waiting import PATIENCE_S, wait_for

SCRAPES = 10
"""So many are held against what kubelet said, even where a test is over sooner."""
FRESH_S = 3.0
"""An owner may be shown for so long after kubelet has ceased to list it."""


@pytest.fixture
def watched(node: RealNode) -> Iterator[tuple[ExporterRun, Recorder]]:
    """Run the exporter and kubelet's recorder; afterwards hold all scrapes against what kubelet said."""
    with Recorder(node.pod_resources_socket) as recorder:
        wait_for("kubelet's answer", recorder.must_hear)
        with ExporterRun(node.pod_resources_socket) as exporter:
            yield exporter, recorder
            wait_for("enough scrapes", lambda: exporter.must_have_scraped(SCRAPES))
        assert_all_true(exporter, recorder)


def assert_all_true(exporter: ExporterRun, recorder: Recorder) -> None:
    for scrape in exporter.scrapes:
        assert not scrape.error, scrape
        truths = recorder.true_between(scrape.began - FRESH_S, scrape.ended + 2 * recorder.period_s)
        true = [owners_by(allocations) for allocations in truths]
        for uuid, owners in scrape.owners.items():
            for owner in owners:
                assert any(owner in truth.get(uuid, ()) for truth in true), f"{owner} never held {uuid}: {true}"


def wait_until_shown(exporter: ExporterRun, client: PodResourcesClient, count: int) -> None:
    """Wait until the exporter shows what kubelet lists, which has to be so many GPUs."""
    truth = owners_by(client.list())
    assert len(truth) == count
    wait_for("the owners", lambda: exporter.must_show(truth))


def test_labels_follow_pods_that_begin_and_end(
    node: RealNode, client: PodResourcesClient, watched: tuple[ExporterRun, Recorder]
) -> None:
    exporter, _ = watched
    wait_until_shown(exporter, client, 0)
    one, several = pod("one", container(gpus=1)), pod("several", container(gpus=3))
    two_containers = pod("two", container("left", gpus=1), container("right", gpus=1))
    init = pod("init", container(gpus=1), init=[container("prepare", gpus=1, command="true")])
    node.run(one, several, two_containers, init)
    wait_until_shown(exporter, client, 7)
    node.delete(several)
    wait_until_shown(exporter, client, 4)
    node.run(pod("later", container(gpus=4)))
    wait_until_shown(exporter, client, 8)


def test_a_time_sliced_gpu_shows_all_its_pods(
    node: RealNode,
    plugin: DevicePlugin,
    client: PodResourcesClient,
    uuids: tuple[str, ...],
    watched: tuple[ExporterRun, Recorder],
) -> None:
    exporter, _ = watched
    uuid = uuids[0]
    plugin.offer((uuid,), replicas=4)
    node.wait_for_offer(plugin)
    node.run(pod("left", container(gpus=1)), pod("right", container(gpus=1)), pod("twice", container(gpus=2)))
    wait_until_shown(exporter, client, 1)
    shown = exporter.scrapes[-1].owners[uuid]
    assert shown == {"default/left/main", "default/right/main", "default/twice/main"}


def test_a_restart_of_kubelet_brings_no_wrong_owner_and_the_right_ones_back(
    node: RealNode, plugin: DevicePlugin, client: PodResourcesClient, watched: tuple[ExporterRun, Recorder]
) -> None:
    exporter, _ = watched
    node.run(pod("one", container(gpus=1)), pod("two", container(gpus=2)))
    wait_until_shown(exporter, client, 3)
    node.stop_kubelet()
    node.start_kubelet()
    node.wait_until_ready()
    node.wait_for_offer(plugin)
    node.run(pod("later", container(gpus=5)))
    wait_until_shown(exporter, client, 8)


def test_kubelets_rate_limit_costs_no_owner(
    node: RealNode, client: PodResourcesClient, watched: tuple[ExporterRun, Recorder]
) -> None:
    exporter, _ = watched
    node.run(pod("one", container(gpus=1)))
    wait_until_shown(exporter, client, 1)
    seen = len(exporter.scrapes)
    with grpc.insecure_channel(f"unix:{node.pod_resources_socket}") as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/List", ListPodResourcesRequest.SerializeToString, ListPodResourcesResponse.FromString
        )
        for _ in range(3):
            asked = [call.future(ListPodResourcesRequest(), timeout=PATIENCE_S) for _ in range(300)]
            refused = [one for one in asked if one.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
            assert len(refused) > 150
    truth = exporter.scrapes[seen - 1].owners
    assert all(scrape.owners == truth for scrape in exporter.scrapes[seen:])

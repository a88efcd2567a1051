"""Wires attribution together: kubelet, the API server and the HPC folder, as far as the settings ask for them."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.agent.inputs import check_kubernetes_client
from exporter.agent.whereabouts import Whereabouts
from exporter.attribution.attributor import AttributionOptions, Attributor, known_allocations
from exporter.attribution.claims import DRA_DRIVER, Resources
from exporter.attribution.jobs import JobNews, Jobs
from exporter.attribution.owners import Evidence
from exporter.attribution.pod_labels import PodLabels
from exporter.attribution.pod_metadata import pods_of
from exporter.attribution.resource_claims import ResourceClaims
from exporter.attribution.resource_slices import slices_of
from exporter.kube import ApiServer, Key, Watch, connect
from exporter.model import Attribution, Entity, GpuState
from exporter.settings import Settings
from exporter.telemetry import OwnerNews
from podresources.allocations import ClaimAllocation
from podresources.poller import Polled, Poller

STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Devices:
    """What there is on this node; `holdable` is what pods can be given, exported or not."""

    states: Callable[[], tuple[GpuState, ...]]
    holdable: Callable[[], tuple[Entity, ...]]

    def exported(self) -> tuple[Entity, ...]:
        """Return the entities that have series."""
        return tuple(entity for state in self.states() for entity in state.entities)


class Ownership:
    """Everything that finds out who owns the GPUs; made but not started."""

    def __init__(
        self,
        settings: Settings,
        devices: Devices,
        socket: Path,
        where: Whereabouts,
        connect: Callable[[], ApiServer] = connect,
    ) -> None:
        """Make what the settings ask for.

        Args:
            settings: What the user wants.
            devices: What there is on this node.
            socket: kubelet's PodResources socket.
            where: The node, and the own pod if that kubelet must list it.
            connect: Connects to the API server.

        Raises:
            ConfigError: The API server must be asked, and its client is not installed.
        """
        check_kubernetes_client(settings)
        self._devices = devices
        self._poller = _poller(socket, where) if settings.kubernetes else None
        needs_pods = settings.kubernetes and (settings.enable_pod_labels or settings.enable_pod_uid)
        self._labels = PodLabels(settings.pod_label_allowlist) if settings.enable_pod_labels else None
        needs_slices = settings.kubernetes and settings.enable_dra
        self._pods = Watch(pods_of(where.node, self._labels), connect) if needs_pods else None
        self._slices = Watch(slices_of(where.node), connect) if needs_slices else None
        self._claims = ResourceClaims(connect, self._listed_claims) if needs_slices else None
        self._jobs = Jobs(Path(settings.hpc_job_mapping_dir)) if settings.hpc_job_mapping_dir else None
        resources = Resources(frozenset(settings.nvidia_resource_names))
        options = AttributionOptions(resources, settings.virtual_gpus, settings.enable_pod_uid)
        self._attributor = Attributor(self._evidence, options, time)

    def start(self) -> None:
        """Begin to ask; returns at once. Where nobody is asked, owners stay what they are, and cost no thread."""
        attributor = None if self._poller is None and self._jobs is None else self._attributor
        for part in (self._poller, self._pods, self._slices, self._claims, self._jobs, attributor):
            if part is not None:
                part.start()

    def stop(self) -> None:
        """End all threads, at the same time; returns within a second, whatever kubelet and the API server do."""
        parts = (self._attributor, self._jobs, self._claims, self._slices, self._pods, self._poller)
        stops: list[threading.Thread] = []
        for part in parts:
            if part is None:
                continue
            stop = threading.Thread(target=part.stop, daemon=True)
            try:
                stop.start()
            except RuntimeError:  # at the limit of processes: the end of this part makes room for the next
                part.stop()
            else:
                stops.append(stop)
        for stop in stops:
            stop.join(STOP_S)

    def attribution(self) -> Attribution:
        """Return the newest owners; how they are known is said only where kubelet is asked."""
        attribution = self._attributor.attribution()
        return attribution if self._poller is not None else Attribution(attribution.owners)

    def holders(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Return the pods that hold each GPU or MIG device, by its UUID."""
        return {
            uuid: frozenset((owner.holder.namespace, owner.holder.pod) for owner in owners if owner.holder.pod)
            for entity, owners in self._attributor.attribution().owners.items()
            for uuid in ((entity.gpu.uuid,) if entity.instance is None else entity.instance.uuids)
        }

    def settled(self) -> bool:
        """Say whether owners are as known as they can be: kubelet's answer is on the series, or it gives none."""
        return self._poller is None or self._poller.latest().error is not None or self._attributor.knows_owners()

    def summary(self) -> str:
        """Return in a few words what is known of owners, or why nothing is."""
        if self._poller is None:
            return "not requested, -k is not given"
        if not self._attributor.knows_owners():
            error = self._poller.latest().error
            return "not known yet" if error is None else f"unknown, {error}"
        owners = self._attributor.attribution().owners
        pods = [{(one.holder.namespace, one.holder.pod) for one in held if one.holder.pod} for held in owners.values()]
        held = sum(map(bool, pods))
        return f"{held} of {len(owners)} GPUs or MIG instances held, pods: {len(set().union(*pods))}"

    def news(self) -> OwnerNews | None:
        """Return what telemetry says of attribution; None where kubelet is not asked."""
        if self._poller is None:
            return None
        watches = {"pods": self._pods, "resourceslices": self._slices, "resourceclaims": self._claims}
        up = {resource: watch.is_current for resource, watch in watches.items() if watch is not None}
        news = owner_news(self._attributor, self._poller.latest(), up)
        return news._replace(labels_left_out=self._labels_left_out())

    def job_news(self) -> JobNews | None:
        """Return what telemetry says of HPC jobs; None where no folder is read."""
        return None if self._jobs is None else self._jobs.news()

    def _labels_left_out(self) -> int | None:
        if self._pods is None or self._labels is None:
            return None
        return sum(pod.left_out for pod in (self._pods.latest() or {}).values())

    def _listed_claims(self) -> set[Key]:
        listed = self._poller.latest().allocations if self._poller is not None else ()
        by_dra = (held for held in listed if isinstance(held, ClaimAllocation) and held.driver == DRA_DRIVER)
        return {(held.claim_namespace, held.claim_name) for held in by_dra}

    def _evidence(self) -> Evidence:
        """Return what is known now, of those who are asked."""
        evidence = Evidence(self._devices.exported(), self._devices.holdable())
        if self._poller is not None:
            evidence = evidence._replace(allocations=known_allocations(self._poller.latest(), time.monotonic()))
        if self._pods is not None:
            evidence = evidence._replace(pods=self._pods.latest(), pods_heard_at=self._pods.heard_at)
        if self._slices is not None:
            evidence = evidence._replace(slices=self._slices.latest())
        if self._claims is not None:
            evidence = evidence._replace(admin_access=self._claims.latest())
        return evidence if self._jobs is None else evidence._replace(jobs=self._jobs.latest())


def owner_news(attributor: Attributor, polled: Polled, watches: Mapping[str, bool]) -> OwnerNews:
    """Return what telemetry says of attribution; `watches` tells for each resource whether its changes come."""
    return OwnerNews(
        known=attributor.knows_owners(),
        answered_at=polled.at_time,
        failures=polled.failures,
        unmatched_total=attributor.unmatched_total(),
        watches=watches,
    )


def quiet_grpc() -> None:
    """Keep gRPC from writing lines of its own, which would break a log in JSON; to be called before it is imported."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def _poller(socket: Path, where: Whereabouts) -> Poller:
    quiet_grpc()
    from podresources.client import PodResourcesClient  # noqa: PLC0415  (memory that few need not spend)

    return Poller(PodResourcesClient(socket, own_pod=where.pod), time)

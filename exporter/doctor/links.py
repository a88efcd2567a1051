"""Every link between a GPU and an autoscaler, in the order in which a value goes through them, and looking at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.doctor import adapter, autoscalers, cluster, exporters, keda, kubelet, node, pod_names, targets
from exporter.doctor.finding import Examined, Finding, Subject, unseen
from exporter.doctor.surroundings import Surroundings
from exporter.errors import ExporterError
from exporter.kube import GARBAGE


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its name, the part of the chain it belongs to, and what looks at it."""

    name: str
    subject: Subject
    look: Callable[[Surroundings], Iterator[Finding]]


LINKS = (
    Link("driver", Subject.NODE, node.driver),
    Link("permissions", Subject.NODE, node.permissions),
    Link("devices", Subject.NODE, node.devices),
    Link("counters", Subject.NODE, node.counters),
    Link("profiling", Subject.NODE, node.profiling),
    Link("socket", Subject.KUBELET, kubelet.socket),
    Link("allocations", Subject.KUBELET, kubelet.allocations),
    Link("api", Subject.CLUSTER, cluster.api),
    Link("rights", Subject.CLUSTER, cluster.rights),
    Link("daemonset", Subject.CLUSTER, cluster.daemonset),
    Link("exporter", Subject.CLUSTER, exporters.exporter),
    Link("gpus", Subject.CLUSTER, exporters.gpus),
    Link("owners", Subject.CLUSTER, exporters.owners),
    Link("prometheus", Subject.PROMETHEUS, targets.prometheus),
    Link("target", Subject.PROMETHEUS, targets.target),
    Link("labels", Subject.PROMETHEUS, pod_names.labels),
    Link("adapter", Subject.SCALING, adapter.adapter),
    Link("rule", Subject.SCALING, adapter.rule),
    Link("values", Subject.SCALING, autoscalers.values),
    Link("hpa", Subject.SCALING, autoscalers.hpa),
    Link("keda", Subject.SCALING, keda.keda),
)


def examine(surroundings: Surroundings) -> Iterator[Examined]:
    """Look at each link, and yield what is found, as soon as it is."""
    for link in LINKS:
        try:
            for finding in link.look(surroundings):
                yield Examined(link.subject, link.name, finding)
        except ExporterError as error:
            yield Examined(link.subject, link.name, unseen(str(error)))
        except GARBAGE as error:
            what = f"the answer has an unexpected form: {type(error).__name__} {error}"
            yield Examined(link.subject, link.name, unseen(what))

"""What must hold of all objects of a release together, whatever the values are."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

LONGEST_NAME = 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_FREE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # of objects whose name is no label and no host
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LONGEST_FREE_NAME = 253
_FREELY_NAMED = (
    "APIService",
    "Certificate",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Issuer",
    "Role",
    "RoleBinding",
)
_CLUSTER_WIDE = ("APIService", "ClusterRole", "ClusterRoleBinding")
_WITH_COLONS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_WORKLOADS = ("DaemonSet", "Deployment")


def faults(objects: Sequence[Object]) -> list[str]:
    """Return what is wrong, a line each: names, labels, what stands twice, and references that lead nowhere."""
    found = [f"{identity} stands twice" for identity, count in Counter(map(_identity, objects)).items() if count > 1]
    for one in objects:
        found += (f"{_identity(one)}: {fault}" for fault in _faults_of_one(one))
    for workload in _of_kinds(objects, _WORKLOADS):
        found += (f"{_identity(workload)}: {fault}" for fault in _lost_references(workload, objects))
    for one in objects:
        if one["kind"] in ("Service", "NetworkPolicy") and not list(_selected(one, objects)):
            found.append(f"{_identity(one)} selects no pods of this release")
    return found


def _identity(one: Object) -> str:
    return f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def _of_kinds(objects: Sequence[Object], kinds: Sequence[str]) -> Iterator[Object]:
    return (one for one in objects if one["kind"] in kinds)


def _faults_of_one(one: Object) -> Iterator[str]:
    meta = one["metadata"]
    if one["kind"] in _FREELY_NAMED:
        name = meta["name"].replace(":", "-") if one["kind"] in _WITH_COLONS else meta["name"]
        if not _FREE_NAME.fullmatch(name) or len(meta["name"]) > _LONGEST_FREE_NAME:
            yield "the name is not one"
    elif not _NAME.fullmatch(meta["name"]) or len(meta["name"]) > LONGEST_NAME:
        yield f"the name is not one, or longer than {LONGEST_NAME}"
    if one["kind"] not in _CLUSTER_WIDE and "namespace" not in meta:
        yield "no namespace"
    pod = one.get("spec", {}).get("template", {}).get("metadata", {})
    for key, value in {**meta.get("labels", {}), **pod.get("labels", {})}.items():
        if not _LABEL_VALUE.fullmatch(value) or len(value) > LONGEST_NAME:
            yield f"label {key} has the value {value!r}"


def _lost_references(workload: Object, objects: Sequence[Object]) -> Iterator[str]:
    """Yield names of ConfigMaps, Secrets, accounts, volumes and labels that a workload uses and nobody makes."""
    template = workload["spec"]["template"]
    spec = template["spec"]
    if not _matches(workload["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]):
        yield "its selector does not select its own pods"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield f"no volume {mount['name']}"
    made = {_identity(one) for one in objects}
    for volume in volumes.values():
        for kind, name in (
            ("ConfigMap", volume.get("configMap", {}).get("name")),
            ("Secret", volume.get("secret", {}).get("secretName")),
        ):
            identity = f"{kind} {workload['metadata']['namespace']}/{name}"
            if name and identity not in made and not _is_made_by_certificate(name, objects):
                yield f"{identity} is made by nobody"


def _is_made_by_certificate(secret: str, objects: Sequence[Object]) -> bool:
    return any(one["spec"]["secretName"] == secret for one in _of_kinds(objects, ("Certificate",)))


def _selected(one: Object, objects: Sequence[Object]) -> Iterator[Object]:
    selector = one["spec"].get("selector") or one["spec"]["podSelector"]["matchLabels"]
    for workload in _of_kinds(objects, _WORKLOADS):
        is_near = workload["metadata"]["namespace"] == one["metadata"]["namespace"]
        if is_near and _matches(selector, workload["spec"]["template"]["metadata"]["labels"]):
            yield workload


def _matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from tests.unit.mock_machines import scenario

GPUS = "gpus: [{profile: t4, count: 2}, {profile: a100-sxm, mig: [1g.10gb, {profile: 3g.40gb, compute: [1, 2]}]}]\n"


@pytest.mark.parametrize(
    ("pods", "sentence"),
    [
        ("x", "pods: is 'x'; expected a list"),
        ("[x]", "pods[0]: is 'x'; expected a mapping"),
        ("[{name: a}]", "pods[0].namespace: is missing"),
        ("[{namespace: a, name: ''}]", "pods[0].name: is ''; expected a name that Kubernetes accepts: "),
        ("[{namespace: a, name: b, gpu: 1}]", "pods[0].gpu: is not a known key; the keys are containers, name"),
        (
            "[{namespace: a, name: b}, {namespace: a, name: b}]",
            "pods[1].name: is 'b', but an earlier pod in a has this name",
        ),
        (
            "[{namespace: a, name: b, containers: [{gpus: [0]}, {gpus: [1]}]}]",
            "pods[0].containers[1].name: is 'main', but an earlier container has this name",
        ),
    ],
)
def test_a_wrong_pod_is_named_with_key_and_reason(pods: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scenario(f"{GPUS}pods: {pods}")
    assert str(caught.value).startswith(f"lab.yaml: {sentence}")


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ("{gpus: 0}", "gpus: is 0; expected a list"),
        ("{gpus: [3]}", "gpus[0].gpu: is 3; expected a whole number from 0 to 2"),
        ("{gpus: [true]}", "gpus[0]: is True; expected an index or a mapping with gpu, mig and replica"),
        ("{gpus: [{mig: 0}]}", "gpus[0].gpu: is missing"),
        ("{gpus: [{gpu: 0, share: 1}]}", "gpus[0].share: is not a known key"),
        ("{gpus: [{gpu: 0, replica: -1}]}", "gpus[0].replica: is -1; expected a whole number from 0 to 999"),
        ("{gpus: [0, 2]}", "gpus[1]: is GPU 2 as a whole, which MIG divides; expected {gpu, mig}"),
        ("{gpus: [{gpu: 2, mig: 3}]}", "gpus[0]: is MIG device 3 of GPU 2, which has 3"),
        ("{gpus: [{gpu: 0, mig: 0}]}", "gpus[0]: is MIG device 0 of GPU 0, which has none"),
        ("{gpus: [0, 1, 0]}", "gpus[2]: is repeated"),
        ("{gpus: [0], ids: index}", "ids: is 'index'; expected one of uuid, device-name"),
        ("{gpus: [0], resource: ''}", "resource: is ''; expected a name that Kubernetes accepts: a domain and a name"),
        ("{name: 7}", "name: is 7; expected text"),
        ("{gpu: [0]}", "gpu: is not a known key; the keys are gpus, ids, name, resource"),
    ],
)
def test_a_wrong_container_is_named_with_key_and_reason(container: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scenario(f"{GPUS}pods: [{{namespace: prod, name: p, containers: [{container}]}}]")
    assert str(caught.value).startswith(f"lab.yaml: pods[0].containers[0].{sentence}")


def pod_with(key: str, value: str) -> str:
    """Return a scenario in which a name is a JSON text, which YAML reads, too."""
    names = {"namespace": "prod", "name": "web-0", "container": "main", "resource": "nvidia.com/gpu", key: value}
    container = {"name": names["container"], "gpus": [0], "resource": names["resource"]}
    return (
        GPUS
        + "pods: "
        + json.dumps([{"namespace": names["namespace"], "name": names["name"], "containers": [container]}])
    )


GOOD_NAMES = [
    ("namespace", "kube-system"),
    ("namespace", "a" * 63),
    ("name", "web-0.team-a"),
    ("name", "7"),
    ("name", ".".join(["a" * 63] * 3)),
    ("container", "c-1"),
    ("resource", "nvidia.com/mig-1g.10gb.shared"),
    ("resource", "example.com/GPU_A100"),
]


@pytest.mark.parametrize(("key", "value"), GOOD_NAMES)
def test_names_that_kubernetes_takes_are_taken(key: str, value: str) -> None:
    [pod] = scenario(pod_with(key, value)).pods
    [container] = pod.containers
    assert value in (pod.namespace, pod.name, container.name, container.resource)


BAD_NAMES = [
    *(
        (key, name)
        for key in ("namespace", "name", "container")
        for name in ("Web", "a_b", "-a", "a-", "a b", "a/b", "w\u00e4rme", "a\n")
    ),
    *((key, "a.b") for key in ("namespace", "container")),
    *((key, "a" * 64) for key in ("namespace", "container")),
    *(("name", name) for name in ("a..b", ".a", "a.", "a" * 254)),
    *(
        ("resource", name)
        for name in ("gpu", "nvidia.com/", "/gpu", "Nvidia.com/gpu", "nvidia.com/a/b", "nvidia.com/" + "a" * 64)
    ),
]


@pytest.mark.parametrize(("key", "value"), BAD_NAMES)
def test_names_that_kubernetes_refuses_are_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match="expected a name that Kubernetes accepts"):
        scenario(pod_with(key, value))


@given(st.sampled_from(["namespace", "name", "container"]), st.text() | st.text("aZ0-._", max_size=70))
def test_any_text_is_a_name_by_kubernetes_own_rule_or_refused(key: str, value: str) -> None:
    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    rule, longest = (rf"{label}(\.{label})*", 253) if key == "name" else (label, 63)
    is_good = re.fullmatch(rule, value) is not None and len(value) <= longest
    try:
        scenario(pod_with(key, value))
        is_taken = True
    except ConfigError:
        is_taken = False
    assert is_taken == is_good

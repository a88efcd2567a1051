import pytest

from exporter.errors import ConfigError
from tests.unit.mock_machines import scenario

GPUS = "gpus: [{profile: t4, count: 2}, {profile: a100-sxm, mig: [1g.10gb, {profile: 3g.40gb, compute: [1, 2]}]}]\n"


@pytest.mark.parametrize(
    ("pods", "sentence"),
    [
        ("x", "pods: is 'x', a list is needed"),
        ("[x]", "pods[0]: is 'x', a mapping"),
        ("[{name: a}]", "pods[0].namespace: is missing"),
        ("[{namespace: a, name: ''}]", "pods[0].name: is empty, a name is needed"),
        ("[{namespace: a, name: b, gpu: 1}]", "pods[0].gpu: is not known here, the keys are containers, name"),
        (
            "[{namespace: a, name: b}, {namespace: a, name: b}]",
            "pods[1].name: is 'b', a pod of this name in a stands before it",
        ),
        (
            "[{namespace: a, name: b, containers: [{gpus: [0]}, {gpus: [1]}]}]",
            "pods[0].containers[1].name: is 'main', a container of this name stands before it",
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
        ("{gpus: 0}", "gpus: is 0, a list is needed"),
        ("{gpus: [3]}", "gpus[0].gpu: is 3, a whole number from 0 to 2 is needed"),
        ("{gpus: [true]}", "gpus[0]: is True, an index or a mapping with gpu, mig and replica is needed"),
        ("{gpus: [{mig: 0}]}", "gpus[0].gpu: is missing"),
        ("{gpus: [{gpu: 0, share: 1}]}", "gpus[0].share: is not known here"),
        ("{gpus: [{gpu: 0, replica: -1}]}", "gpus[0].replica: is -1, a whole number from 0 to 999"),
        ("{gpus: [0, 2]}", "gpus[1]: is GPU 2 as a whole, which MIG divides, {gpu, mig} is needed"),
        ("{gpus: [{gpu: 2, mig: 3}]}", "gpus[0]: is MIG device 3 of GPU 2, which has 3"),
        ("{gpus: [{gpu: 0, mig: 0}]}", "gpus[0]: is MIG device 0 of GPU 0, which has none"),
        ("{gpus: [0, 1, 0]}", "gpus[2]: is there twice"),
        ("{gpus: [0], ids: index}", "ids: is 'index', one of uuid, device-name is needed"),
        ("{gpus: [0], resource: ''}", "resource: is empty"),
        ("{name: 7}", "name: is 7, text is needed"),
        ("{gpu: [0]}", "gpu: is not known here, the keys are gpus, ids, name, resource"),
    ],
)
def test_a_wrong_container_is_named_with_key_and_reason(container: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scenario(f"{GPUS}pods: [{{namespace: prod, name: p, containers: [{container}]}}]")
    assert str(caught.value).startswith(f"lab.yaml: pods[0].containers[0].{sentence}")

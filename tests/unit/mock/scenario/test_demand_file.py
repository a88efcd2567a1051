import pytest

from exporter.errors import ConfigError
from tests.unit.mock_machines import scenario


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("demands: [1]", "demands: is a list; expected a mapping"),
        ("demands: {a: 3}", "demands.a: is 3; expected a mapping"),
        ("demands: {a: {}}", "demands.a.gpus: is missing"),
        ("demands: {a: {gpus: -1}}", "demands.a.gpus: is -1; expected a number from 0 to 1e+06"),
        ("demands: {a: {gpus: 1, period_s: -1}}", "demands.a.period_s: is -1; expected a number from 0 to 86400"),
        ("demands: {a: {gpus: 1, gpu: 2}}", "demands.a.gpu: is not a known key"),
        ("demands: {a: {gpus: 1, pods: x}}", "demands.a.pods: is 'x'; expected a mapping"),
        ("demands: {a: {gpus: 1, pods: {label: x}}}", "demands.a.pods.label: is not a known key; the keys are name"),
        (
            "demands: {a: {gpus: 1, pods: {name: '('}}}",
            "demands.a.pods.name: is '(', which is not a regular expression:",
        ),
        ("load: {kind: demand, name: b}", "gpus[0].load.kind: is demand, the scenario has no demands"),
        ("demands: {a: {gpus: 1}}\nload: {kind: demand, name: b}", "gpus[0].load.name: is 'b'; expected one of a"),
    ],
)
def test_a_wrong_demand_is_named_with_key_and_reason(text: str, sentence: str) -> None:
    demands, _, load = text.rpartition("load: ") if "load: " in text else (text, "", "0")
    with pytest.raises(ConfigError) as caught:
        scenario(f"{demands}\ngpus: [{{profile: t4, load: {load}}}]")
    assert str(caught.value).startswith(f"lab.yaml: {sentence}")

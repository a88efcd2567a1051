import json
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import ConfigError
from exporter.mock.document import Section
from exporter.mock.machine.faults import KINDS, MACHINE_KINDS, describe_fault, read_fault

EXAMPLES: tuple[dict[str, Any], ...] = (
    {"kind": "lost", "at_s": 1.0, "until_s": 5.0},
    {"kind": "hang", "at_s": 1.0, "until_s": None, "functions": ["nvmlDeviceGetName"]},
    {"kind": "slow", "at_s": 1.0, "until_s": 5.0, "functions": [], "seconds": 0.5},
    {"kind": "denied", "at_s": 1.0, "until_s": 5.0, "functions": []},
    {"kind": "xid", "at_s": 1.0, "code": 79, "gpu_instance": None},
    {"kind": "ecc", "at_s": 1.0, "until_s": 5.0, "count": 3.0, "per_s": 0.5, "errors": "uncorrected"},
    {"kind": "row-remap", "at_s": 1.0, "until_s": 5.0, "state": "failed"},
    {"kind": "pcie-replays", "at_s": 1.0, "until_s": 5.0, "count": 0.0, "per_s": 2.0},
    {"kind": "nvlink", "at_s": 1.0, "until_s": 5.0, "count": 1.0, "per_s": 0.0, "error": "crc", "link": 3},
    {"kind": "throttle", "at_s": 1.0, "until_s": 5.0, "by": "power-brake", "percent": 30.0},
    {"kind": "inforom", "at_s": 1.0, "until_s": 5.0},
    {"kind": "mig", "at_s": 1.0, "until_s": 5.0, "devices": [0, 2]},
    {"kind": "unbound", "at_s": 1.0, "until_s": 5.0},
    {"kind": "missing", "at_s": 1.0, "until_s": 5.0},
    {"kind": "driver-reload", "at_s": 1.0, "until_s": 5.0, "driver": "590.10"},
)
EVERY = {**KINDS, **MACHINE_KINDS}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["kind"]))
def test_a_fault_is_described_as_it_is_read_and_json_has_a_form_for_it(example: dict[str, Any]) -> None:
    described = describe_fault(read_fault(Section(example, "lab.yaml"), kinds=EVERY))
    assert described == example
    json.dumps(described, allow_nan=False)


def test_every_kind_is_tried_and_documented() -> None:
    assert [example["kind"] for example in EXAMPLES] == list(EVERY)
    text = (Path(__file__).parents[4] / "docs/mock.md").read_text(encoding="utf-8")
    for kind in EVERY:
        assert f"| `{kind}` |" in text


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "fire"}, "kind: is 'fire'; expected one of lost, hang"),
        ({"kind": "missing", "at_s": 0}, "kind: is 'missing'; expected one of lost"),
        ({"kind": "slow", "at_s": 0}, "seconds: is missing"),
        ({"kind": "lost", "at_s": -1}, "at_s: is -1; expected a number of at least 0"),
        ({"kind": "lost", "at_s": 3, "until_s": 2}, "until_s: is 2; expected a number of at least 3"),
        ({"kind": "lost", "at_s": 3, "until_s": 4, "for_s": 1}, "for_s: is set together with until_s"),
        ({"kind": "ecc", "at_s": 0}, "errors: is missing"),
        ({"kind": "ecc", "at_s": 0, "errors": "all"}, "errors: is 'all'; expected one of corrected, uncorrected"),
        ({"kind": "pcie-replays", "at_s": 0, "per_s": -2}, "per_s: is -2; expected a number of at least 0"),
        ({"kind": "throttle", "at_s": 0, "by": "whim"}, "by: is 'whim'; expected one of heat"),
        (
            {"kind": "throttle", "at_s": 0, "by": "heat", "percent": 101},
            "percent: is 101; expected a number from 0 to 100",
        ),
        (
            {"kind": "nvlink", "at_s": 0, "error": "crc", "link": 18},
            "link: is 18; expected a whole number from 0 to 17",
        ),
        ({"kind": "row-remap", "at_s": 0, "state": "done"}, "state: is 'done'; expected one of pending, failed"),
        (
            {"kind": "mig", "at_s": 0, "devices": ["MIG-1"]},
            "devices: has 'MIG-1'; expected indices of the GPU's MIG devices",
        ),
        ({"kind": "inforom", "at_s": 0, "state": "bad"}, "state: is not a known key"),
    ],
)
def test_a_wrong_fault_names_key_and_reason(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_fault(Section(wrong, "lab.yaml", "gpus[0].faults[0]"))
    assert f"lab.yaml: gpus[0].faults[0].{why}" in str(error.value)

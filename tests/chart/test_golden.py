"""The chart's five main shapes as text. `make chart-test ARGS=--regenerate` writes them anew; the diff is the review.

What is in alerts and rules is the same in each shape, so it stands only in one. Dashboards, which nobody reads as text,
stand in none.
"""

import re
from pathlib import Path

import pytest

from tests.chart.helm import Helm
from tests.chart.values import read_values

_FOLDER = Path(__file__).parent / "golden"
SHAPES = ("guide", "full-chain", "mock", "nobody", "dcgm-exporter")
_WITH_EVERYTHING = "full-chain"
_MADE_ANEW = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]+")  # keys and certificates, base64 of -----BEGIN
_DOCUMENT = re.compile(r"^---\n# Source: dcgm-exporter/templates/(\S+)\n", re.MULTILINE)
_SAME_EVERYWHERE = ("alerts/", "adapter/rules.yaml")
_NOWHERE = ("dashboards/",)


def written(text: str, shape: str) -> str:
    """Return the golden text of what helm has rendered."""
    _, *parts = _DOCUMENT.split(_MADE_ANEW.sub("(made anew)", text))
    documents = zip(parts[::2], parts[1::2], strict=True)
    return "".join(
        f"---\n# {source}\n{body.strip()}\n"  # helm 4 ends an object with a blank line
        for source, body in documents
        if not source.startswith(_NOWHERE if shape == _WITH_EVERYTHING else _NOWHERE + _SAME_EVERYWHERE)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_what_any_helm_renders_is_the_golden_text(shape: str, regenerate: bool, any_helm: Helm) -> None:
    golden, text = _FOLDER / f"{shape}.yaml", written(any_helm.template(read_values(shape)).text, shape)
    if regenerate:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_each_golden_text_has_its_shape() -> None:
    assert {path.stem for path in _FOLDER.glob("*.yaml")} == set(SHAPES)

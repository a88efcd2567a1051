"""values.schema.json knows exactly the keys of values.yaml, and says of each what may stand there."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.chart.helm import CHART, Helm, Refused, read_objects
from tests.chart.values import chart_defaults, leaves, merged, nested

SCHEMA: Mapping[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
WITHOUT_A_DEFAULT = {"global", "enabled", "dcgmExporter"}
"""For charts that have this one as a part, and a block that is refused with a sentence."""
CLEARED_BY_NULL = ("resources.", "securityContext.", "tolerations", "arguments", "priorityClassName")
FALLBACKS = set(re.findall(r"^([A-Za-z.]+): ", (CHART / "templates" / "_values.tpl").read_text(), re.MULTILINE))
"""Keys that stand for something where a null has taken them away."""


Schema = Mapping[str, Any]


def resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def objects(schema: Schema, above: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield each schema of an object with its place, in lists and below alternatives, too."""
    schema = resolved(schema)
    if "properties" in schema:
        yield above, schema
        for name, part in schema["properties"].items():
            yield from objects(part, f"{above}.{name}" if above else name)
    if "items" in schema:
        yield from objects(schema["items"], f"{above}[]")


def named_keys(schema: Schema, above: str = "") -> Iterator[str]:
    for name, part in resolved(schema).get("properties", {}).items():
        part_ = resolved(part)
        if part_.get("properties"):
            yield from named_keys(part_, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return values in which a key with dots is not there, as helm makes of a null."""
    rest = deepcopy(dict(values))
    *folders, last = key.split(".")
    place = rest
    for folder in folders:
        place = place[folder]
    del place[last]
    return rest


def can_be_missing(key: str, value: object) -> bool:
    """Tell whether helm's null for this key means something: nothing of it, or no limit."""
    return value in ("", [], {}) or key in FALLBACKS or key.removeprefix("adapter.").startswith(CLEARED_BY_NULL)


_NEEDED = [key for key, value in leaves(chart_defaults()) if not can_be_missing(key, value)]
_OBJECTS = list(objects(SCHEMA))


def test_the_schema_is_one_also_for_helms_to_which_a_number_is_its_text() -> None:
    """Helm 3.18.5 to 3.21 and 4.0 to 4.2 refuse a schema in which an enum has 4.9 beside "4.9"."""
    Draft7Validator.check_schema(SCHEMA)
    for place, schema in objects(SCHEMA):
        for name, part in schema["properties"].items():
            texts = [str(one) for one in part.get("enum", ())]
            assert len(texts) == len(set(texts)), f"{place}.{name}"


def test_the_chart_s_own_values_meet_it() -> None:
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(chart_defaults())] == []


def test_it_has_the_keys_of_the_values_and_no_other() -> None:
    known = {key for key in named_keys(SCHEMA) if key not in WITHOUT_A_DEFAULT}
    may_be_missing = {"resources.claims", "adapter.resources.claims", "adapter.resources.limits.cpu"}
    given = {key for key, _ in leaves(chart_defaults())}
    unknown = {key for key in given if not any(key == one or key.startswith(f"{one}.") for one in known)}
    dead = {key for key in known if not any(one == key or one.startswith(f"{key}.") for one in given)}
    assert unknown == set()
    assert dead <= may_be_missing


@pytest.mark.parametrize(("place", "schema"), _OBJECTS, ids=[place or "top" for place, _ in _OBJECTS])
def test_unknown_keys_are_refused_everywhere(place: str, schema: Schema) -> None:
    whole_objects_of_kubernetes = {"extraConfigMapVolumes[]"}
    assert schema.get("additionalProperties") is False or place in whole_objects_of_kubernetes


@pytest.mark.parametrize("key", _NEEDED)
def test_a_value_that_templates_need_can_not_be_taken_away(key: str) -> None:
    [error] = Draft7Validator(SCHEMA).iter_errors(without(chart_defaults(), key))
    assert error.message == f"'{key.rpartition('.')[2]}' is a required property"


def test_all_others_can_be_taken_away_at_once(helm: Helm) -> None:
    others = [nested(key, None) for key, value in leaves(chart_defaults()) if can_be_missing(key, value)]
    assert helm.template(merged(*others)).all("DaemonSet")


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("serviceMonitor.intervall", "15s", "at '/serviceMonitor': additional properties 'intervall' not allowed"),
        ("metrics", True, "at '': additional properties 'metrics' not allowed"),
        ("image.tag", 1.5, "at '/image/tag': got number, want integer or string"),
        ("service.port", "http", "at '/service/port': 'http' does not match pattern"),
        ("hostPID", "yes", "at '/hostPID': 'yes' does not match pattern"),
        ("mock.enabled", "yes", "at '/mock/enabled': got string, want boolean"),
        ("labels.style", "5.0", "at '/labels/style': '5.0' does not match pattern"),
        ("extraEnv", [{"value": "x"}], "at '/extraEnv/0': missing property 'name'"),
        ("extraEnv", [{"name": "X", "value": 1}], "at '/extraEnv/0/value': got number, want string"),
        ("podAnnotations", {"prometheus.io/port": 9400}, "at '/podAnnotations/prometheus.io~1port': got number"),
        ("service", None, "at '': missing property 'service'"),
    ],
)
def test_a_refusal_is_one_sentence_that_names_the_key(key: str, given: object, said: str, helm: Helm) -> None:
    with pytest.raises(Refused) as refused:
        helm.template(nested(key, given))
    [sentence] = [line for line in str(refused.value).splitlines() if line.startswith("- ")]
    assert said in sentence


def test_the_chart_can_be_a_part_of_another(helm: Helm, tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "charts" / "dcgm-exporter")
    dependency = {"name": "dcgm-exporter", "version": ">=0.0.0", "condition": "dcgm-exporter.enabled"}
    whole = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(json.dumps(whole), encoding="utf-8")

    def kinds(**own: object) -> set[str]:
        given = json.dumps({"global": {"registry": "x"}, "dcgm-exporter": own})
        text = helm.run("template", "platform", str(tmp_path), "--namespace=monitoring", "--values=-", given=given)
        return {one["kind"] for one in read_objects(text)}

    assert "DaemonSet" in kinds(enabled=True)
    assert kinds(enabled=False) == set()

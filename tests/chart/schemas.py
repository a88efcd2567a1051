"""What Kubernetes says about an object: its OpenAPI schema, and those of CRDs, taken strictly.

An API server drops a field that it does not know, or complains, by how it is asked; here an unknown field is a fault.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

OLDEST, NEWEST = "1.29", "1.37"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_OF_ANOTHER_TYPE: Mapping[str, Mapping[str, Any]] = {  # the specification calls them strings
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
}

Schema = dict[str, Any]
Kind = tuple[str, str]  # apiVersion, kind


class Schemas:
    """All kinds of one release of Kubernetes, and those of the CRDs that the chart has objects of."""

    def __init__(self, folder: Path, kubernetes: str) -> None:
        self._folder = folder
        self._kubernetes = kubernetes
        self._validators: dict[Kind, Any] = {}

    def faults(self, one: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with an object, a line each: where, and what."""
        kind = (one["apiVersion"], one["kind"])
        if kind not in self._kinds:
            return [f"{kind[0]} {kind[1]} is unknown to Kubernetes {self._kubernetes}"]
        if kind not in self._validators:
            self._validators[kind] = _Validator({**self._kinds[kind], "definitions": self._definitions})
        return [f"{fault.json_path}: {fault.message}" for fault in self._validators[kind].iter_errors(one)]

    @cached_property
    def _definitions(self) -> Schema:
        text = (self._folder / f"kubernetes-{self._kubernetes}.json").read_text(encoding="utf-8")
        definitions: Schema = json.loads(text)["definitions"]
        return {name: _OF_ANOTHER_TYPE.get(name) or _strict(schema) for name, schema in definitions.items()}

    @cached_property
    def _kinds(self) -> dict[Kind, Schema]:
        return dict(self._built_in()) | dict(self._custom())

    def _built_in(self) -> Iterator[tuple[Kind, Schema]]:
        for name, schema in self._definitions.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                version = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
                yield (version, kind["kind"]), {"$ref": f"#/definitions/{name}", "required": ["metadata"]}

    def _custom(self) -> Iterator[tuple[Kind, Schema]]:
        for path in self._folder.glob("*.yaml"):
            spec = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["spec"]
            for version in spec["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"$ref": f"#/definitions/{_META}"}
                yield (f"{spec['group']}/{version['name']}", spec["names"]["kind"]), schema


def _strict(schema: Schema) -> Schema:
    """Return a schema that refuses what it does not name. Alternatives (anyOf and the like) only add to it."""
    strict = {key: deepcopy(value) for key, value in schema.items() if key not in ("properties", "description")}
    if "properties" in schema:
        strict["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            strict[key] = _strict(schema[key])
    if schema.get("nullable") and "type" in schema:
        strict["type"] = [schema["type"], "null"]
    return strict


def _unique_keys(_validator: object, keys: list[str], items: object, _schema: object) -> Iterator[ValidationError]:
    """Say which entries of a list that is a map (env by name) stand twice: a server-side apply refuses them."""
    if isinstance(items, list):
        names = [tuple(item.get(key) for key in keys) for item in items if isinstance(item, dict)]
        for name in sorted({name for name in names if names.count(name) > 1}, key=str):
            yield ValidationError(f"{', '.join(map(str, name))} stands twice")


_Validator = extend(Draft7Validator, {"x-kubernetes-list-map-keys": _unique_keys})  # type: ignore[no-untyped-call]

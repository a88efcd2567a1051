"""The chart as helm renders it."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "chart"
RELEASE, NAMESPACE = "dcgm-exporter", "monitoring"
MONITORING_APIS = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule")
"""What `.Capabilities.APIVersions` has where the Prometheus Operator is installed; PodMonitor comes with these."""
ALL_APIS = (*MONITORING_APIS, "monitoring.coreos.com/v1/PodMonitor", "keda.sh/v1alpha1/ScaledObject")
NEWEST_HELM = "helm"
HELMS = ("helm-3.19", NEWEST_HELM)
"""Groups of tests/tools: of the helms that people run, one that reads schemas strictly, and the newest."""
ALL_HELMS = ("helm-3.14", "helm-3.19", "helm-3", NEWEST_HELM)
"""The oldest that the README promises, the same, and the newest of each major version."""
_TIMEOUT_S = 60.0
_NOTES = '{data: {notes: {{ tpl (.Files.Get "files/NOTES.txt") . | toJson }}}}'

Values = Mapping[str, Any]


class Refused(Exception):
    """Helm rendered nothing; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects that a chart makes; whoever changes one takes a copy."""

    objects: tuple[dict[str, Any], ...]
    text: str = ""

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of this kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the only object of this kind (and name)."""
        [found] = [one for one in self.all(kind) if name in (None, one["metadata"]["name"])]
        return found


@dataclass(frozen=True, slots=True)
class Helm:
    """The real helm. What it has rendered once it does not render again."""

    binary: Path
    _known: dict[tuple[object, ...], Rendered] = field(default_factory=dict, repr=False, compare=False)

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Return what helm prints.

        Raises:
            Refused: helm failed.
        """
        done = subprocess.run(
            [self.binary, *arguments], input=given, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode:
            raise Refused(done.stderr.strip())
        return done.stdout

    def template(
        self,
        values: Values | None = None,
        *arguments: str,
        release: str = RELEASE,
        apis: Sequence[str] = ALL_APIS,
    ) -> Rendered:
        """Return what the chart makes of these values, in a cluster that knows these APIs.

        Raises:
            Refused: It makes nothing of them.
        """
        text = json.dumps(values or {})  # which is YAML without surprises
        key = (text, arguments, release, tuple(apis))
        if key not in self._known:
            known = [f"--api-versions={one}" for one in apis]
            where = ("--namespace", NAMESPACE, "--values=-")
            made = self.run("template", release, str(CHART), *where, *known, *arguments, given=text)
            self._known[key] = Rendered(read_objects(made), made)
        return self._known[key]

    def notes(self, values: Values | None = None, *, apis: Sequence[str] = ALL_APIS) -> str:
        """Return what the user is told after an installation, in a cluster that knows these APIs and has no objects."""
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "chart"
            shutil.copytree(CHART, chart)
            (chart / "templates" / "NOTES.txt").rename(chart / "files" / "NOTES.txt")
            (chart / "templates" / "notes.yaml").write_text(_NOTES, encoding="utf-8")
            known = [f"--api-versions={one}" for one in apis]
            where = ("--namespace", NAMESPACE, "--values=-", "--show-only=templates/notes.yaml")
            made = self.run("template", RELEASE, str(chart), *where, *known, given=json.dumps(values or {}))
        return str(yaml.safe_load(made)["data"]["notes"])


class _Loader(yaml.CSafeLoader):
    """YAML in which no key stands twice: which of the two counts depends on who reads."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002 - PyYAML's
        keys = [self.construct_object(key) for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"line {node.start_mark.line + 1}: {', '.join(sorted(map(str, twice)))} stands twice")
        return super().construct_mapping(node, deep=deep)


def read_objects(text: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of a YAML stream.

    Raises:
        ValueError: A key stands twice in one mapping.
    """
    return tuple(one for one in yaml.load_all(text, _Loader) if one)

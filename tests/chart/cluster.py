"""A real cluster without nodes, and helm for it."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import CHART, NAMESPACE, RELEASE, Refused, Values, read_objects
from tests.cluster.control_plane import ControlPlane, Manifest
from tests.waiting import NotYet, wait_for

_TIMEOUT_S = 60.0
_DISCOVERY_S = 30.0
_REMOVAL_S = 300.0  # the API server tries again with growing pauses where it can't remove one at once
_WARNING = re.compile(r'"Warning: (.*)"$')
_POD_SECURITY = re.compile(r"would violate PodSecurity \"restricted:latest\": (.*)")


@dataclass(frozen=True, slots=True)
class Said:
    """What helm printed, and what the API server warned of meanwhile."""

    output: str
    warnings: tuple[str, ...]

    @property
    def unrestricted(self) -> set[str]:
        """What is not as Pod Security's level `restricted` wants it, and where. No warning may be of anything else."""
        found: set[str] = set()
        for warning in self.warnings:
            reasons = _POD_SECURITY.fullmatch(warning)
            if reasons is None:
                raise AssertionError(f"a warning of something else: {warning}")
            found.update(re.findall(r"[^,(]+ \([^)]*\)", reasons[1]))
        return {reason.strip() for reason in found}


class Cluster:
    """The control plane, with releases in it."""

    def __init__(self, control_plane: ControlPlane, helm: Path, folder: Path, crds: Sequence[Path]) -> None:
        self._plane = control_plane
        self._helm = helm
        self._folder = folder
        self._crds = crds
        self.has_crds = False
        self.kubectl = control_plane.kubectl
        self.get = control_plane.get

    def helm(self, *arguments: str, values: Values | None = None, namespace: str = NAMESPACE) -> Said:
        """Run helm as administrator in a namespace.

        Raises:
            Refused: helm failed; the text is what it said.
        """
        self._plane.must_run()
        given = () if values is None else ("--values=-",)
        where = (f"--kubeconfig={self._plane.certificates / 'admin.kubeconfig'}", f"--namespace={namespace}")
        own = {f"HELM_{name}_HOME": str(self._folder / "helm") for name in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [self._helm, *where, *arguments, *given],
            input=None if values is None else json.dumps(values),
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr.strip())
        return Said(done.stdout, tuple(_warning(line) for line in done.stderr.splitlines()))

    def install(self, values: Values | None = None, *arguments: str, release: str = RELEASE) -> Said:
        """Install the chart."""
        return self.helm("install", release, str(CHART), *arguments, values=values or {})

    def upgrade(self, values: Values | None = None, *arguments: str, release: str = RELEASE) -> Said:
        """Upgrade a release to the chart with these values and the chart's own."""
        return self.helm("upgrade", release, str(CHART), *arguments, values=values or {})

    def manifest(self, release: str = RELEASE) -> tuple[dict[str, Any], ...]:
        """Return the objects of a release, without its tests."""
        return read_objects(self.helm("get", "manifest", release).output)

    def existing(self, objects: Sequence[Manifest]) -> list[str]:
        """Return the names of those objects that are there, as kind/name."""
        if not objects:
            return []
        found = self.kubectl("get", "--ignore-not-found", "-o", "name", manifests=list(objects))
        return found.split()

    def get_all(self, objects: Sequence[Manifest]) -> list[Any]:
        """Return these objects as the API server has them."""
        found: list[Any] = json.loads(self.kubectl("get", "-o", "json", manifests=list(objects)))["items"]
        return found

    def create_namespaces(self, *names: str, **labels: str) -> None:
        """Create namespaces, with labels of Pod Security: enforce="restricted"."""
        marks = {f"pod-security.kubernetes.io/{mode}": level for mode, level in labels.items()}
        spaces: list[Manifest] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}} for name in names
        ]
        self.kubectl("apply", manifests=spaces)

    def install_crds(self) -> None:
        """Have all CRDs in the cluster; returns when the API server serves them."""
        if self.has_crds:
            return
        files = [f"--filename={path}" for path in self._crds]
        self.kubectl("apply", "--server-side", *files)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)
        wait_for("the CRDs' discovery", lambda: self._look_for_groups(_groups(self._crds), there=True), _DISCOVERY_S)
        self.has_crds = True

    def remove_crds(self) -> None:
        """Have none of them, and none of their objects."""
        if not self.has_crds:
            return
        files = [f"--filename={path}" for path in self._crds]
        self.kubectl("delete", "--ignore-not-found", "--wait=false", *files)

        def look() -> None:
            if left := self.kubectl("get", "--ignore-not-found", "--output=name", *files):
                raise NotYet(f"left are {' '.join(left.split())}")

        wait_for("the CRDs' end", look, _REMOVAL_S)
        groups = _groups(self._crds)
        wait_for("the end of their discovery", lambda: self._look_for_groups(groups, there=False), _DISCOVERY_S)
        self.has_crds = False

    def _look_for_groups(self, groups: set[str], *, there: bool) -> None:
        served = {line.partition("/")[0] for line in self.kubectl("api-versions").split()}
        if (groups <= served) if there else not groups & served:
            return
        raise NotYet(f"served are {', '.join(sorted(served))}")


def _warning(line: str) -> str:
    found = _WARNING.search(line)
    if found is None:
        raise AssertionError(f"helm says something that is no warning: {line}")
    return found[1].replace('\\"', '"')


def _groups(crds: Sequence[Path]) -> set[str]:
    return {str(yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["group"]) for path in crds}

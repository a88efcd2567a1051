"""Fetch the schemas of Kubernetes' objects, pinned, into the same cache as the tools.

    python -m tests.tools.schemas

They are files of Go modules, which `go mod download` fetches. What is kept are those files alone, so that with a filled
cache no Go is needed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.tools.build import BuildFailed, GoMissing, cache_folder, go_environment, locked


class Pin(NamedTuple):
    """Which Go module, in which version, with which checksum as in go.sum."""

    path: str
    version: str
    checksum: str


OPERATOR = Pin(
    "github.com/prometheus-operator/prometheus-operator", "v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)
KEDA = Pin("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=")


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module that has schemas."""

    path: str
    version: str
    checksum: str  # as in go.sum
    files: Mapping[str, str]  # what a file is called here: where it lies in the module


def _kubernetes(version: str, checksum: str) -> Module:
    name = f"kubernetes-{version.removeprefix('v').rpartition('.')[0]}.json"
    return Module("k8s.io/kubernetes", version, checksum, {name: "api/openapi-spec/swagger.json"})


def _crds(pin: Pin, folder: str, *names: str) -> Module:
    return Module(*pin, {f"{name}.yaml": f"{folder}/{name}.yaml" for name in names})


MODULES = (
    _kubernetes("v1.29.6", "h1:jn8kA/oVOAWZOeoorx6xZ4d+KgGp+Evgi90x9bEI/DE="),
    _kubernetes("v1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE="),
    _crds(
        OPERATOR,
        "example/prometheus-operator-crd",
        "monitoring.coreos.com_servicemonitors",
        "monitoring.coreos.com_podmonitors",
        "monitoring.coreos.com_prometheusrules",
    ),
    _crds(
        KEDA,
        "config/crd/bases",
        "keda.sh_scaledobjects",
        "keda.sh_triggerauthentications",
    ),
    _crds(
        Pin("github.com/cert-manager/cert-manager", "v1.19.1", "h1:Txh8L/nLWTDcb7ZnXuXbTe15BxQnLbLirXmbNk0fGgY="),
        "deploy/crds",
        "cert-manager.io_certificates",
        "cert-manager.io_issuers",
        "cert-manager.io_clusterissuers",
    ),
)


def fetch_schemas(modules: tuple[Module, ...] = MODULES) -> Path:
    """Return the folder with all schemas: kubernetes-1.29.json and so on, and a .yaml for each CRD.

    Raises:
        GoMissing: They are not there yet, and there is no Go.
        BuildFailed: A module can't be fetched, or is not the one that is pinned here.
    """
    stamp = hashlib.sha256(repr(modules).encode()).hexdigest()[:12]
    folder = cache_folder() / f"schemas-{stamp}"
    with locked(cache_folder() / "schemas.lock"):
        if not folder.exists():
            _fetch(modules, folder)
    return folder


def _fetch(modules: tuple[Module, ...], folder: Path) -> None:
    if shutil.which("go") is None:
        raise GoMissing("schemas must be fetched, and there is no `go` on the PATH (https://go.dev/dl)")
    with tempfile.TemporaryDirectory(dir=cache_folder()) as temporary:
        kept = Path(temporary) / "schemas"
        kept.mkdir()
        for module in modules:
            source = _download(module)
            for name, place in module.files.items():
                (kept / name).write_bytes((source / place).read_bytes())
        kept.rename(folder)


def _download(module: Module) -> Path:
    # Nobody else has to vouch for the module: its checksum is compared here.
    environment = {**go_environment(), "GOSUMDB": "off"}
    command = ["go", "mod", "download", "-json", f"{module.path}@{module.version}"]
    done = subprocess.run(
        command, cwd=cache_folder(), env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    answer = json.loads(done.stdout) if done.stdout.startswith("{") else {"Error": done.stderr.strip()}
    if "Error" in answer:
        raise BuildFailed(f"{module.path}@{module.version} can't be fetched: {answer['Error']}")
    if answer["Sum"] != module.checksum:
        raise BuildFailed(f"{module.path}@{module.version} has the checksum {answer['Sum']}, not {module.checksum}")
    return Path(answer["Dir"])


def main() -> int:
    """Fetch them all; returns the exit status."""
    try:
        print(fetch_schemas())  # noqa: T201 - its output is what it has to tell
    except (BuildFailed, GoMissing) as error:
        print(f"tests/tools: {error}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

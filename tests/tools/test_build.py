"""The build of the tools, with a `go` that only writes down what it is asked for."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tools.groups import default_name, parse_tools, read_groups

FAKE_GO = """#!/bin/sh
echo "$PWD $*" >> "$GO_CALLS"
while [ "$1" != -o ]; do shift; done
for binary in server kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler; do
    echo built > "$2$binary"
done
"""


@dataclass
class Machine:
    """A PATH and a cache of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def build(self, *groups: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(Path.cwd()),
            "GPU_METRICS_EXPORTER_TOOLS": str(self.folder / "cache"),
            "GO_CALLS": str(self.folder / "calls"),
            **self.variables,
        }
        command = [sys.executable, "-m", "tests.tools.build", *groups]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def go_calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def built(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "cache").glob("*/*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    return Machine(tmp_path)


def test_a_group_is_built_once(machine: Machine) -> None:
    first, second = machine.build("etcd"), machine.build("etcd")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    [call] = machine.go_calls
    assert "tests/tools/etcd build -p 2 -trimpath" in call
    assert call.endswith("go.etcd.io/etcd/server/v3")
    assert machine.built() == ["etcd"]
    assert "already built" in second.stdout


def test_only_the_binary_that_is_not_there_is_built(machine: Machine) -> None:
    machine.build("kubernetes")
    [kubelet] = (machine.folder / "cache").glob("kubernetes-*/kubelet")
    kubelet.unlink()
    machine.build("kubernetes")
    assert machine.go_calls[1].split(" -o ")[1].split()[1:] == ["k8s.io/kubernetes/cmd/kubelet"]
    assert kubelet.exists()


def test_binaries_that_envtest_has_are_taken_from_there(machine: Machine) -> None:
    assets = machine.folder / "assets"
    assets.mkdir()
    (assets / "etcd").touch()
    machine.variables["KUBEBUILDER_ASSETS"] = str(assets)
    assert "etcd from KUBEBUILDER_ASSETS" in machine.build("etcd").stdout
    assert machine.go_calls == []


def test_without_go_one_sentence_says_what_is_missing(machine: Machine) -> None:
    (machine.folder / "bin" / "go").unlink()
    machine.variables["PATH"] = str(machine.folder / "bin")
    done = machine.build("etcd")
    assert done.returncode == 1
    assert done.stdout == "tests/tools: etcd must be built, and there is no `go` on the PATH (https://go.dev/dl)\n"


def test_a_failed_build_leaves_nothing_that_looks_built(machine: Machine) -> None:
    (machine.folder / "bin" / "go").write_text("#!/bin/sh\nexit 3\n")
    done = machine.build("etcd")
    assert done.returncode == 1
    assert "exit status 3" in done.stdout
    assert machine.built() == []


def test_an_unknown_group_is_refused_with_those_that_there_are(machine: Machine) -> None:
    done = machine.build("nonsense")
    assert done.returncode == 1
    assert "nonsense is no group" in done.stdout
    assert "there are adapter, etcd, " in done.stdout


def test_kubernetes_binaries_are_stamped_with_their_version() -> None:
    [kubernetes] = read_groups(("kubernetes",))
    go_mod = (kubernetes.folder / "go.mod").read_text().split()
    version = go_mod[go_mod.index("k8s.io/kubernetes") + 1]
    assert f"-X k8s.io/component-base/version.gitVersion={version} " in kubernetes.ldflags
    assert f"-X k8s.io/client-go/pkg/version.gitMinor={version.split('.')[1]} " in kubernetes.ldflags


def test_tool_lines_are_read_alone_and_in_a_block() -> None:
    assert parse_tools("module m\n\ntool example.com/a/cmd/x\n") == ("example.com/a/cmd/x",)
    assert parse_tools("tool (\n\texample.com/a\n\texample.com/b/v2\n)\n") == ("example.com/a", "example.com/b/v2")


@pytest.mark.parametrize(
    ("package", "name"),
    [("a.io/cmd/kubelet", "kubelet"), ("a.io/server/v3", "server"), ("a.io/v2/cmd/v1beta1", "v1beta1")],
)
def test_a_binary_is_named_as_go_names_it(package: str, name: str) -> None:
    assert default_name(package) == name

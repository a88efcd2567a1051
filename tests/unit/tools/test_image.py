"""The image's pins, and the script that builds it, with a buildah that only writes down what it is asked for."""

import os
import platform
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from exporter import __version__
from tools.image.build import digest_of_inputs
from tools.image.debian import DebianBase, parse_base
from tools.image.programs import NotBuilt

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DIGEST = "sha256:" + "0" * 64
FAKE_BUILDAH = """#!/bin/sh
echo "$*" >> "$CALLS"
shift 2
case "$1 $*" in
    inspect*) grep -q -e "--tag=$3 " "$CALLS" ;;
    build*--tag=localhost/debian:*) ;;
    build*) test -z "$BROKEN" || { echo "step 3: $BROKEN"; exit 7; } ;;
    push*) to=${3#oci-archive:}; echo "the image" > "${to%%:*}" ;;
esac
"""
FAKE_MMDEBSTRAP = """#!/bin/sh
echo "mmdebstrap $*" >> "$CALLS"
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the image")


@dataclass
class Machine:
    """A PATH and a cache of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def archive(self) -> Path:
        return self.folder / "image.tar"

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin" if (self.folder / "bin").exists() else "/nowhere",
            "PYTHONPATH": str(ROOT),
            "GPU_METRICS_EXPORTER_TOOLS": str(self.folder / "cache"),
            "CALLS": str(self.folder / "calls"),
            **self.variables,
        }
        command = [sys.executable, "-m", "tools.image", str(self.archive), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def calls(self, word: str) -> list[str]:
        return [call for call in (self.folder / "calls").read_text().splitlines() if word in call]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for name, text in {"buildah": FAKE_BUILDAH, "mmdebstrap": FAKE_MMDEBSTRAP}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return Machine(tmp_path)


def locked() -> dict[str, str]:
    lock = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))


def test_the_lock_file_has_every_dependency_in_a_version_that_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["kubernetes"]):
        dependency = Requirement(text)
        assert dependency.specifier.contains(locked()[canonicalize_name(dependency.name)]), text


def test_every_version_in_the_lock_file_has_a_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([a-z0-9-]+)==\S+[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert blocks == list(locked())


def test_a_label_names_the_base_that_is_in_the_image() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\S+)="([^"]+)"', DOCKERFILE))
    assert labels["base.name"] == f"docker.io/library/{parse_base(DOCKERFILE).tag}"


def test_the_base_says_which_debian_it_is_and_when_it_was_made() -> None:
    line = f"ARG BASE=docker.io/library/debian:trixie-20261005-slim@{DIGEST}"
    assert parse_base(f"# Debian\n{line}\n") == DebianBase("debian:trixie-20261005-slim", "trixie", 1_791_158_400)


@pytest.mark.parametrize(
    "base",
    [
        "docker.io/library/debian:trixie-20261005-slim",
        f"docker.io/library/debian:trixie-slim@{DIGEST}",
        f"docker.io/library/ubuntu:noble-20261005-slim@{DIGEST}",
        "",
    ],
)
def test_a_base_that_is_not_pinned_or_not_debian_is_refused(base: str) -> None:
    with pytest.raises(NotBuilt, match="ARG BASE=docker"):
        parse_base(f"ARG BASE={base}\nFROM ${{BASE}}\n")


def test_the_image_is_made_anew_for_what_goes_into_it_and_for_nothing_else(tmp_path: Path) -> None:
    for name, text in {
        ".dockerignore": "*\n!code\n!Dockerfile\n",
        "Dockerfile": "FROM x",
        "code/one.py": "1",
        "code/__pycache__/one.pyc": "1",
        "tools/image/one.py": "1",
        "tests/one.py": "1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = digest_of_inputs(tmp_path)
    for name in ("tests/one.py", "code/__pycache__/one.pyc"):
        (tmp_path / name).write_text("2")
    assert digest_of_inputs(tmp_path) == before
    seen = {before}
    for name in ("code/one.py", "Dockerfile", "code/two.py", "tools/image/one.py"):
        (tmp_path / name).write_text("2")
        seen.add(digest_of_inputs(tmp_path))
    (tmp_path / "code" / "two.py").rename(tmp_path / "code" / "three.py")
    assert len(seen | {digest_of_inputs(tmp_path)}) == 6


def test_what_goes_into_the_image_is_there() -> None:
    names = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {"exporter", "podresources", "requirements.lock"} <= set(names)
    assert all((ROOT / name).exists() for name in names)


@as_root
def test_without_the_programs_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    done = Machine(tmp_path).build()
    assert done.returncode == 1
    assert done.stderr == (
        "tools/image: no buildah and no mmdebstrap on the PATH: `apt-get install buildah mmdebstrap`\n"
    )


@as_root
def test_the_debian_root_is_made_once_and_stands_in_for_the_base(machine: Machine) -> None:
    first, second = machine.build(), machine.build()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    base = parse_base(DOCKERFILE)
    [made] = machine.calls("mmdebstrap")
    assert f" {base.suite} " in made
    assert f"{base.suite}-security" in made
    for call in machine.calls(f"--build-arg=BASE=localhost/{base.tag}"):
        assert f"--timestamp={base.epoch}" in call
        assert "--no-cache" in call
    assert len(machine.calls("--build-arg=BASE=")) == 2
    assert machine.archive.read_text() == "the image\n"
    assert first.stdout == f"{machine.archive}: localhost/gpu-metrics-exporter:{__version__}, 0 MB\n"


@as_root
def test_the_image_of_another_architecture_runs_no_program_of_it(machine: Machine) -> None:
    foreign = {"x86_64": "arm64"}.get(platform.machine(), "amd64")
    done = machine.build("--arch", foreign)
    assert done.returncode == 0, done.stderr
    [root] = machine.calls(f"mmdebstrap --quiet --architectures={foreign}")
    assert "--variant=extract" in root
    [built] = machine.calls("--build-arg=RUNTIME=")
    assert f"-{foreign} " in built.partition("--build-arg=RUNTIME=")[2]
    assert "--build-arg=PLATFORM=--platform=manylinux" in built


@as_root
def test_a_name_of_ones_own_is_the_archives(machine: Machine) -> None:
    assert machine.build("registry.example/gpu:1").returncode == 0
    [pushed] = machine.calls("push")
    assert pushed.endswith(f"push registry.example/gpu:1 oci-archive:{machine.archive}.new:registry.example/gpu:1")


@as_root
def test_pip_in_the_build_is_told_what_pip_on_the_machine_is_told(machine: Machine) -> None:
    certificates = machine.folder / "trusted" / "own.crt"
    certificates.parent.mkdir()
    certificates.touch()
    machine.variables = {"PIP_CERT": str(certificates), "PIP_INDEX_URL": "https://pypi.example/simple"}
    assert machine.build().returncode == 0
    [call] = machine.calls("--build-arg=BASE=")
    assert "--build-arg=PIP_INDEX_URL=https://pypi.example/simple" in call
    assert f"--volume={certificates.parent}:/mnt:ro --build-arg=PIP_CERT=/mnt/own.crt" in call


@as_root
def test_a_step_that_fails_leaves_no_archive_and_says_why(machine: Machine) -> None:
    machine.variables = {"BROKEN": "hashes do not match"}
    done = machine.build()
    assert done.returncode == 1
    assert done.stderr == "tools/image: buildah failed with exit status 7:\nstep 3: hashes do not match\n"
    assert not machine.archive.exists()

"""The prolog and epilog for Slurm, run as slurmd runs them, and what the exporter makes of their files."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.golden.soundness import tool
from tests.integration.program import ROOT, Start
from tests.waiting import PATIENCE_S

SCRIPTS = ROOT / "packaging" / "slurm"
UUID = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
MIG = "MIG-6cc6f0b1-5f2c-5b2e-9e0b-6c1f4b8c3d11"
FULL = ("sh", "-c", "ulimit -f 0; trap '' XFSZ; exec \"$0\"")
"""Runs a script in which each write to a file fails, as on a full disk."""


@dataclass(frozen=True)
class Node:
    """A node on which slurmd runs the two scripts. It gives them no PATH and stops using a node where one fails."""

    folder: Path
    before: tuple[str, ...] = ()

    def starts(self, job: int, gpus: str = "", visible: str | None = None) -> None:
        given = {"SLURM_JOB_GPUS": gpus, "CUDA_VISIBLE_DEVICES": gpus if visible is None else visible}
        self.run("prolog", job, {name: value for name, value in given.items() if value})

    def ends(self, job: int) -> None:
        self.run("epilog", job, {})

    def run(self, name: str, job: int, given: Mapping[str, str]) -> None:
        environment = {"SLURM_JOB_ID": str(job), "GPU_JOBS_FOLDER": str(self.folder), **given}
        command = (*self.before, str(SCRIPTS / f"{name}-gpu-jobs.sh"))
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr

    def files(self) -> dict[str, list[str]]:
        return {path.name: path.read_text().split() for path in self.folder.iterdir()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "gpu-jobs")


def test_shellcheck_has_nothing_to_say() -> None:
    scripts = sorted(SCRIPTS.glob("*.sh"))
    assert len(scripts) == 2
    done = subprocess.run(
        (tool("shellcheck", "shellcheck"), *scripts), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_job_is_on_its_gpus_while_it_runs(node: Node, start: Start) -> None:
    program = start("--mock=h100-sxm", "-k=false", f"--hpc-job-mapping-dir={node.folder}")

    def jobs() -> Sequence[tuple[str, str]]:
        page = program.get("/metrics")[1]
        return re.findall(r'^DCGM_FI_DEV_GPU_UTIL\{gpu="(\d)".*hpc_job="(\d+)"', page, re.MULTILINE)

    node.starts(41, "0,3")
    node.starts(42, "1")
    program.until(lambda: jobs() == [("0", "41"), ("1", "42"), ("3", "41")])
    node.starts(43, "1")  # by MPS or shards
    program.until(lambda: jobs() == [("0", "41"), ("1", "42"), ("1", "43"), ("3", "41")])
    node.ends(41)
    program.until(lambda: jobs() == [("1", "42"), ("1", "43")])
    node.ends(42)
    node.ends(43)
    program.until(lambda: jobs() == [])
    assert "are left out" not in program.log()  # no file of the scripts' own work was ever in the folder
    program.must_end()


def test_uuids_count_more_than_places_in_slurms_list(node: Node) -> None:
    node.starts(7, "3,4", f"{UUID},{MIG}")
    node.starts(8, "3", MIG)
    assert node.files() == {UUID: ["7"], MIG: ["7", "8"]}


def test_a_job_that_is_started_again_stands_once_and_one_without_gpus_nowhere(node: Node) -> None:
    node.starts(7, "0")
    node.starts(8, "0")
    node.starts(7, "0")
    node.starts(9)
    assert node.files() == {"0": ["8", "7"]}


def test_the_jobs_of_an_array_go_one_by_one(node: Node) -> None:
    """Each has a job id of its own; a prolog is not told the array's."""
    for job in (100, 101, 1001):
        node.starts(job, "0")
    node.ends(100)
    assert node.files() == {"0": ["101", "1001"]}


def test_an_epilog_takes_out_what_a_killed_prolog_has_begun_and_needs_no_file(node: Node) -> None:
    node.ends(5)
    node.starts(7, "0,1")
    (node.folder / "1").unlink()
    node.folder.with_name("gpu-jobs.new").write_text("7\n")  # killed before its rename
    node.ends(7)
    assert node.files() == {}
    node.starts(8, "0")
    assert node.files() == {"0": ["8"]}


def test_prologs_that_run_at_once_lose_no_job(node: Node) -> None:
    node.folder.mkdir()
    script = SCRIPTS / "prolog-gpu-jobs.sh"
    given = {"GPU_JOBS_FOLDER": str(node.folder), "SLURM_JOB_GPUS": "0,1"}
    jobs = [str(number) for number in range(20)]
    running = [subprocess.Popen((script,), env={**given, "SLURM_JOB_ID": job}) for job in jobs]
    assert {process.wait(PATIENCE_S) for process in running} == {0}
    assert {name: sorted(found, key=int) for name, found in node.files().items()} == {"0": jobs, "1": jobs}


def test_a_folder_that_can_not_be_made_costs_the_label_and_not_the_node(tmp_path: Path) -> None:
    (tmp_path / "gpu-jobs").write_text("a file")
    node = Node(tmp_path / "gpu-jobs" / "below")
    node.starts(7, "0")
    node.ends(7)


def test_a_full_disk_costs_the_new_job_its_label_and_no_other_job(node: Node) -> None:
    node.starts(7, "0")
    node.starts(8, "0")
    full = replace(node, before=FULL)
    full.starts(9, "0,1")
    full.ends(7)
    assert node.files() == {"0": ["7", "8"]}
    node.ends(7)
    full.ends(8)  # the last one: nothing has to be written
    assert node.files() == {}


def test_the_folder_is_there_before_the_first_job(tmp_path: Path) -> None:
    configuration = tmp_path / "etc" / "tmpfiles.d" / "gpu-jobs.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text((SCRIPTS / "tmpfiles.conf").read_text().replace(" root root ", " - - "))
    create = (tool("systemd-tmpfiles", "systemd"), "--create", f"--root={tmp_path}", configuration.name)
    subprocess.run(create, check=True, timeout=PATIENCE_S)
    assert list((tmp_path / "run" / "gpu-jobs").iterdir()) == []


def test_a_device_that_is_no_file_name_writes_no_file(node: Node) -> None:
    node.starts(7, visible="MIG-GPU-8932f937/1/0")
    node.starts(8, "../0")
    assert node.files() == {}

"""The prolog and epilog under a real slurmd, and the exporter's series while its jobs run."""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bare_metal.from_the_page import commands, installed_root
from tests.bare_metal.machine import Machine, booted, run_before_boot

SETTINGS = "/etc/gpu-metrics-exporter/exporter.env"
SLURM_CONF = """
ClusterName=test
SlurmctldHost=node-1
SlurmUser=root
AuthType=auth/slurm
CredType=auth/slurm
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
KillWait=1
NodeName=node-1 CPUs=8 RealMemory=100 Gres=gpu:8
PartitionName=all Nodes=ALL Default=YES
"""
INSTALL_SLURM = """
apt-get install --yes --no-install-recommends slurmctld slurmd slurm-client iproute2 >/dev/null
systemctl disable slurmctld slurmd
"""
ADDRESS = "10.9.9.9"
"""Slurm finds no address on a machine that has none but 127.0.0.1."""
GRES_CONF = "Name=gpu File=/srv/gpu[0-7]\n"


@pytest.fixture(scope="module")
def node(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A node that is its own controller, with eight GPUs that are files to Slurm and mocks to the exporter."""
    root = installed_root("trixie", tmp_path_factory.mktemp("machine"), wheel)
    try:
        slurm = root / "etc" / "slurm"
        slurm.mkdir()
        [configured] = commands("Slurm: the job on each series", "")
        (slurm / "slurm.conf").write_text(SLURM_CONF + configured)
        (slurm / "gres.conf").write_text(GRES_CONF)
        (slurm / "slurm.key").write_bytes(bytes(range(128)))
        (slurm / "slurm.key").chmod(0o600)
        for number in range(8):
            os.mknod(root / "srv" / f"gpu{number}", stat.S_IFCHR, os.makedev(1, 3))
        (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} node-1\n")
        run_before_boot(root, INSTALL_SLURM)
        with booted(root) as started:
            [service, _] = commands("Run it as a service")
            [slurm_part] = commands("Slurm: the job on each series")
            started.run(service)
            started.run(f"printf 'DCGM_EXPORTER_MOCK=h100-sxm\\nDCGM_EXPORTER_KUBERNETES=false\\n' > {SETTINGS}")
            started.run(slurm_part)
            started.run(f"ip address add {ADDRESS}/32 dev lo; mkdir -p /var/spool/slurmctld; slurmctld; slurmd")
            started.until(lambda: "idle" in started.says("sinfo --noheader --format=%T"))
            yield started
    finally:
        shutil.rmtree(root)


def submitted(node: Machine, *options: str) -> str:
    """Start a job that runs until it is cancelled; returns its id."""
    said = node.run(f"cd / && sbatch --output=/dev/null {' '.join(options)} --wrap 'sleep 3600'")
    found = re.search(r"\d+", said)
    assert found, said
    return found[0]


def jobs(node: Machine) -> list[tuple[str, str]]:
    """Return GPUs and jobs as the page has them."""
    text = node.says("curl -s localhost:9400/metrics")
    return re.findall(r'^DCGM_FI_DEV_GPU_UTIL\{gpu="(\d)".*hpc_job="(\d+)"', text, re.MULTILINE)


def test_a_job_of_slurm_is_on_the_gpus_that_it_has_and_goes_with_its_end(node: Machine) -> None:
    first, second = submitted(node, "--gres=gpu:2"), submitted(node, "--gres=gpu:1")
    node.until(lambda: jobs(node) == [("0", first), ("1", first), ("2", second)])
    node.run(f"scancel {first}")
    node.until(lambda: jobs(node) == [("2", second)])
    third = submitted(node)  # without GPUs
    array = submitted(node, "--gres=gpu:1", "--array=1-2")
    node.until(lambda: [gpu for gpu, _ in jobs(node)] == ["0", "1", "2"])
    raw = node.run(f"squeue --noheader --array --format=%A --job={array}").split()
    assert sorted(raw) == sorted(job for _, job in jobs(node) if job != second)
    node.run(f"scancel {second} {third} {array}")
    node.until(lambda: jobs(node) == [])
    assert "drain" not in node.run("sinfo --noheader --format=%T")


def test_a_job_that_ends_while_slurmd_is_away_goes_when_it_is_back(node: Machine) -> None:
    job = submitted(node, "--gres=gpu:1")
    node.until(lambda: jobs(node) == [("0", job)])
    node.run("pkill -9 -x slurmd")
    node.run(f"scancel {job}")
    node.run("slurmd")
    node.until(lambda: jobs(node) == [])

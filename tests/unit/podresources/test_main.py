import json
import subprocess
import sys
from pathlib import Path

import pytest

from podresources.__main__ import main
from podresources.fake_kubelet import CutOff, FakeKubelet
from podresources.fake_pods import ClaimedDevice, Container, Pod, ResourceClaim

CLAIMS = [
    ResourceClaim("prod", "half", [ClaimedDevice("gpu.nvidia.com", "node-1", "gpu-0", "9f8e")]),
    ResourceClaim("prod", "whole", [ClaimedDevice("gpu.nvidia.com", "node-1", "gpu-1")]),
]
PODS = [
    Pod("prod", "infer-2", [Container("server", claims=CLAIMS)]),
    Pod("prod", "infer-1", [Container("server", {"nvidia.com/gpu": ["GPU-2", "GPU-1"]})]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


def test_it_prints_a_line_for_each_allocation(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubelet(path, PODS):
        assert main(["--socket", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAMESPACE  POD      CONTAINER  RESOURCE        DEVICE                     CLAIM",
        "prod       infer-1  server     nvidia.com/gpu  GPU-1",
        "prod       infer-1  server     nvidia.com/gpu  GPU-2",
        "prod       infer-2  server     gpu.nvidia.com  node-1/gpu-0 (share 9f8e)  prod/half",
        "prod       infer-2  server     gpu.nvidia.com  node-1/gpu-1               prod/whole",
    ]


def test_it_prints_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubelet(path, PODS):
        assert main(["--socket", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    owner = {"namespace": "prod", "pod": "infer-1", "container": "server"}
    assert printed[:2] == [{**owner, "resource": "nvidia.com/gpu", "device_id": f"GPU-{number}"} for number in (1, 2)]
    assert printed[2] == {
        "namespace": "prod",
        "pod": "infer-2",
        "container": "server",
        "driver": "gpu.nvidia.com",
        "pool": "node-1",
        "device": "gpu-0",
        "claim_namespace": "prod",
        "claim_name": "half",
        "share_id": "9f8e",
    }


def test_nobody_holding_anything_is_a_sentence_and_an_empty_list(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeKubelet(path):
        assert main(["--socket", str(path)]) == 0
        assert main(["--socket", str(path), "--json"]) == 0
    assert capsys.readouterr().out == "No container on this node holds a device.\n[]\n"


def test_a_hostile_id_stays_on_its_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubelet(path, [Pod("a", "b", [Container("c", {"gpu": ["x\n\x1b[2Jy"]})])]):
        assert main(["--socket", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [r"a          b    c          gpu       x\n\x1b[2Jy"]


def test_a_bad_answer_is_one_sentence_and_exit_code_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubelet(path, PODS) as kubelet:
        kubelet.set_fault(CutOff())
        assert main(["--socket", str(path)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("podresources: the answer of ")
    assert error.count("\n") == 1


def test_a_wrong_argument_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--sockets"])
    assert "--sockets" in capsys.readouterr().err


def test_as_a_module_it_ends_with_the_exit_code(path: Path) -> None:
    command = [sys.executable, "-m", "podresources", "--socket", str(path)]
    answer = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"podresources: kubelet's socket {path} does not exist")
    assert answer.stderr.count("\n") == 1

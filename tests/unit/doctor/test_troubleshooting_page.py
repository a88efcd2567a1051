"""docs/troubleshooting.md quotes what the program says, and no more."""

import re
import socket
from pathlib import Path

import pytest

from exporter.doctor.kubelet import OTHER_SOCKETS
from exporter.doctor.node import judge_permissions
from exporter.model import Reason
from podresources.diagnosis import explain_code, find_socket, try_connecting
from podresources.errors import PodResourcesError
from tests.pages import page, section

PAGE = page("troubleshooting")
SOCKET = Path("/run/kubelet.sock")
CODES = (
    ("DEADLINE_EXCEEDED", ""),
    ("RESOURCE_EXHAUSTED", "rejected by rate limit"),
    ("UNIMPLEMENTED", "unknown service"),
)


def said_of_sockets(folder: Path) -> list[str]:
    """Return what is said of sockets that are missing, or closed, or on which nobody listens, and of bad answers."""
    path = folder / "kubelet.sock"
    with pytest.raises(PodResourcesError) as missing:
        find_socket(path)
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(path))
        with pytest.raises(PodResourcesError) as refused:
            try_connecting(path)
    return [str(missing.value), str(refused.value), *(str(explain_code(SOCKET, *code, 2.0)) for code in CODES)]


def test_what_is_said_of_kubelet_s_socket_is_explained(tmp_path: Path) -> None:
    explained, _ = section(PAGE, "Kubelet's socket").split("| Kubernetes |")
    phrases = re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in explained.splitlines() if "|" in line))
    said = said_of_sockets(tmp_path)
    assert [text for text in said if not any(phrase in text for phrase in phrases)] == []
    elsewhere = {"no permission", "hangs"}  # which takes another user, and a socket whose queue is full
    assert {phrase for phrase in phrases if not any(phrase in text for text in said)} <= elsewhere


def test_the_folders_of_other_kubernetes_are_those_that_the_doctor_looks_at() -> None:
    for name, path in OTHER_SOCKETS.items():
        assert f"| {name} | `{path.parent}` |" in PAGE


def test_a_device_file_that_is_closed_is_quoted() -> None:
    seen = judge_permissions(["/dev/nvidia0"], ["/dev/nvidia0"], has_wsl=False).seen
    quoted = "can't open /dev/nvidia0"
    assert quoted in seen
    assert f"`{quoted}`" in PAGE


def test_each_reason_for_a_missing_field_is_one() -> None:
    rows = [line.split("|")[1] for line in section(PAGE, "Missing fields").splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) <= set(Reason)

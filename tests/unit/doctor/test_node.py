from pathlib import Path

import pytest

from exporter.cli.flags import Serve, parse
from exporter.doctor.finding import Finding, Mark
from exporter.doctor.node import (
    counters,
    devices,
    driver,
    judge_counters,
    judge_devices,
    judge_driver,
    judge_permissions,
    judge_profiling,
    permissions,
    profiling,
)
from exporter.doctor.nvml_look import NvmlSeen
from exporter.doctor.surroundings import Asked, Surroundings
from exporter.errors import DriverMismatch, DriverNotLoaded, LibraryMissing, NotPermitted, NvmlError
from exporter.model import Reason
from exporter.settings import Settings

LOOKS = (driver, permissions, devices, counters, profiling)


def settings(*flags: str) -> Settings:
    asked = parse(flags, {}, "host")
    assert isinstance(asked, Serve)
    return asked.settings


def marks(look: Surroundings) -> list[Mark]:
    return [finding.mark for one in LOOKS for finding in one(look)]


def only(found: Finding, mark: Mark, *words: str) -> None:
    assert found.mark is mark, found
    assert [word for word in words if word not in f"{found.seen} {found.cure}"] == [], found
    assert (mark is Mark.BROKEN) <= bool(found.cure), found


def test_a_laptop_has_no_gpu_to_look_at(tmp_path: Path) -> None:
    assert marks(Surroundings(Asked(settings(), root=tmp_path))) == [Mark.UNSEEN] * 5


def test_a_mock_is_looked_at_as_a_gpu_is(tmp_path: Path) -> None:
    look = Surroundings(Asked(settings("--mock=a100-sxm"), root=tmp_path))
    assert marks(look) == [Mark.HOLDS] * 5
    assert next(driver(look)).seen == "MOCK GPUs of a100-sxm, not real ones"
    assert next(profiling(look)).seen.startswith("no GPM on NVIDIA A100")


@pytest.mark.parametrize("sign", ["dev/nvidiactl", "sys/bus/pci/devices/0000:17:00.0/vendor"])
def test_a_machine_with_a_gpu_and_no_driver_is_broken(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).parent.mkdir(parents=True)
    (tmp_path / sign).write_text("0x10de\n")
    look = Surroundings(Asked(settings(), root=tmp_path))
    only(next(driver(look)), Mark.BROKEN, "libnvidia-ml.so.1 was not found", "NVIDIA_VISIBLE_DEVICES=all")


def test_a_pod_without_gpus_is_broken_and_no_laptop(tmp_path: Path) -> None:
    look = Surroundings(Asked(settings(), environ={"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, root=tmp_path))
    only(next(permissions(look)), Mark.BROKEN, "no /dev/nvidia*", "runtimeClassName")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LibraryMissing("libnvidia-ml.so.1 was not found: install it"), ("was not found", "runtimeClassName")),
        (DriverNotLoaded("the NVIDIA kernel module is not loaded: load it"), ("not loaded", "load it.")),
        (DriverMismatch("of different releases: reboot"), ("different releases",)),
        (NotPermitted("/dev/nvidiactl can't be opened: x"), ("can't be opened", "run as root")),
        (NvmlError("NVML has not answered within 15 s"), ("15 s", "dmesg")),
    ],
)
def test_each_trouble_of_the_driver_has_its_cure(error: NvmlError, words: tuple[str, ...]) -> None:
    only(judge_driver(settings(), NvmlSeen(error=error)), Mark.BROKEN, *words)


def test_a_driver_that_works_names_its_release() -> None:
    only(judge_driver(settings(), NvmlSeen(driver="580.159.04")), Mark.HOLDS, "580.159.04")


def test_device_files_must_be_open_to_this_user() -> None:
    files = ["/dev/nvidia0", "/dev/nvidiactl"]
    only(judge_permissions(files, [], has_wsl=False), Mark.HOLDS, "2 files")
    only(judge_permissions(files, files[:1], has_wsl=False), Mark.BROKEN, "can't open /dev/nvidia0")
    only(judge_permissions([], [], has_wsl=True), Mark.HOLDS, "WSL")


def test_each_gpu_that_gives_no_answer_is_named_beside_those_that_do() -> None:
    seen = NvmlSeen(models={0: "H100", 2: "H100"}, silent={1: Reason.GPU_LOST}, selected=2, unselected=frozenset({9}))
    lost, unselected, others = judge_devices(seen, 8)
    only(lost, Mark.BROKEN, "GPU 1", "Xid 79")
    only(unselected, Mark.BROKEN, "-d selects 9")
    only(others, Mark.HOLDS, "2 x H100", "the driver has 8")
    [nothing] = judge_devices(NvmlSeen(), 0)
    only(nothing, Mark.BROKEN, "lists no GPU")
    [unnamed] = judge_devices(NvmlSeen(error=NvmlError("x")), 0)
    only(unnamed, Mark.UNSEEN)


def test_a_counters_file_without_load_leaves_autoscalers_nothing(tmp_path: Path) -> None:
    only(judge_counters("a.csv", {"DCGM_FI_DEV_GPU_TEMP"}, 0), Mark.BROKEN, "no DCGM_FI_DEV_GPU_UTIL")
    only(judge_counters("a.csv", {"DCGM_FI_PROF_GR_ENGINE_ACTIVE"}, 2), Mark.HOLDS, "1 fields, 2 lines ignored")
    missing = Surroundings(Asked(settings("-f", str(tmp_path / "none.csv"))))
    only(next(counters(missing)), Mark.BROKEN, "none.csv", "check")


def test_gpus_without_gpm_are_as_they_are_and_a_denied_one_is_broken() -> None:
    only(judge_profiling({}), Mark.HOLDS, "GPM works")
    only(judge_profiling({"T4": Reason.NOT_SUPPORTED}), Mark.HOLDS, "no GPM on T4")
    only(judge_profiling({"H100": Reason.NOT_PERMITTED}), Mark.BROKEN, "not permitted")

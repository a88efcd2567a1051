from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from exporter.errors import DriverMismatch, DriverNotLoaded, LibraryMissing, NotPermitted, NvmlError
from exporter.nvml import session
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml, failing
from tests.unit.mock_machines import scenario, started


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, LibraryMissing, "start with --mock"),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, LibraryMissing, "install a supported NVIDIA driver"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, DriverNotLoaded, "modprobe nvidia"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, DriverMismatch, "reload the module or reboot"),
        (pynvml.NVML_ERROR_NO_PERMISSION, NotPermitted, "give it access to the devices"),
        (pynvml.NVML_ERROR_UNKNOWN, NvmlError, "NVML does not start: Unknown Error"),
    ],
)
def test_an_nvml_that_does_not_start_says_what_to_do(code: int, error: type[NvmlError], advice: str) -> None:
    with pytest.raises(NvmlError, match=advice) as raised:
        session.start(SimpleNamespace(nvmlInit=failing(code)))
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [OSError("no such symbol"), AttributeError("nvmlInit"), TypeError("expected")])
def test_a_binding_that_fails_to_start_says_how(error: Exception) -> None:
    def raising() -> None:
        raise error

    with pytest.raises(NvmlError, match=f"NVML does not start: {type(error).__name__}: {error}"):
        session.start(SimpleNamespace(nvmlInit=raising))


def test_an_error_whose_text_is_no_utf_8_is_said_with_its_bad_bytes_replaced() -> None:
    class Undecodable(pynvml.NVMLError):  # type: ignore[misc]  # pynvml has no types
        def __str__(self) -> str:
            return b"\xf8 failed".decode()

    def raising() -> None:
        raise Undecodable(987_654)

    with pytest.raises(NvmlError, match="NVML does not start: \ufffd failed"):
        session.start(SimpleNamespace(nvmlInit=raising))


def test_nvml_is_started_and_ended() -> None:
    nvml = FaultyNvml(started(scenario("gpus: [{profile: t4}]"), FakeClock()))
    session.start(nvml)
    session.end(nvml)
    assert (nvml.calls["nvmlInit"], nvml.calls["nvmlShutdown"]) == (1, 1)
    assert nvml.nvmlDeviceGetCount() == 1


def test_an_end_that_the_driver_refuses_is_the_end_all_the_same() -> None:
    nvml = FaultyNvml(started(scenario("gpus: [{profile: t4}]"), FakeClock()))
    nvml.replaced["nvmlShutdown"] = failing(pynvml.NVML_ERROR_UNINITIALIZED)
    session.end(nvml)
    assert nvml.calls["nvmlShutdown"] == 1


def test_an_end_at_which_the_binding_fails_is_the_end_all_the_same() -> None:
    session.end(SimpleNamespace())


def test_the_real_library_is_pynvml() -> None:
    assert session.real_nvml() is pynvml


def test_the_kernel_module_tells_its_gpus_by_folders(tmp_path: Path) -> None:
    (tmp_path / "0000:1b:00.0").mkdir()
    (tmp_path / "0000:43:00.0").mkdir()
    assert session.driver_gpus(tmp_path) == frozenset({"0000:1b:00.0", "0000:43:00.0"})
    assert session.driver_gpus(tmp_path / "absent") == frozenset()
    (tmp_path / "file").touch()
    assert session.driver_gpus(tmp_path / "file") is None, "it can't be told"

"""NVML as a whole: starting and ending it, and what is wrong with a machine where it does not start."""

import contextlib
from pathlib import Path
from typing import Any

import pynvml

from exporter.catalogue.convert import replaced
from exporter.errors import DriverMismatch, DriverNotLoaded, LibraryMissing, NotPermitted, NvmlError

_FAILURES: dict[int, tuple[type[NvmlError], str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        LibraryMissing,
        (
            "libnvidia-ml.so.1 was not found: install the NVIDIA driver, or in a container use the NVIDIA runtime "
            "class or mount the driver's libraries; without a GPU, start with --mock"
        ),
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (
        LibraryMissing,
        "libnvidia-ml.so.1 is too old, it has no nvmlInitWithFlags: install a supported NVIDIA driver",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        DriverNotLoaded,
        "the NVIDIA kernel module is not loaded: load it (modprobe nvidia) or wait for the driver pod of this node",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        DriverMismatch,
        (
            "libnvidia-ml.so.1 and the loaded NVIDIA kernel module have different versions: after a driver upgrade,"
            " reload the module or reboot, and restart this container so that it gets the new libraries"
        ),
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        NotPermitted,
        (
            "this user can't open /dev/nvidiactl or /dev/nvidia*: give it access to the devices, or in a container use"
            " the NVIDIA runtime class"
        ),
    ),
}


def real_nvml() -> Any:
    """Return the library that talks to the driver of this machine. Loads nothing until it is started."""
    return pynvml


def start(library: Any) -> None:
    """Initialise NVML.

    Raises:
        NvmlError: A subclass that names what is wrong and what to do.

    Source: nvmlInit.
    """
    try:
        library.nvmlInit()
    except pynvml.NVMLError as error:
        kind, sentence = _FAILURES.get(error.value, (NvmlError, f"NVML does not start: {_text(error)}"))
        raise kind(sentence) from error
    except Exception as error:
        raise NvmlError(f"NVML does not start: {type(error).__name__}: {_text(error)}") from error


def end(library: Any) -> None:
    """Give every handle back to the driver; no call may be under way.

    Source: nvmlShutdown.
    """
    with contextlib.suppress(Exception):
        library.nvmlShutdown()


def _text(error: Exception) -> str:
    """Return an error's text, which may be the driver's own."""
    try:
        return str(error)
    except UnicodeDecodeError as undecodable:
        return replaced(undecodable)


def driver_gpus(folder: Path) -> frozenset[str] | None:
    """Return the PCI names of the GPUs that the kernel module drives, None where that can't be told now.

    Args:
        folder: /proc/driver/nvidia/gpus, with a folder for each GPU.
    """
    try:
        return frozenset(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return frozenset()
    except OSError:  # no file descriptor is left, for one
        return None

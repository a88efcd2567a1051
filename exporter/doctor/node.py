"""The links on a GPU's machine: driver, permissions, devices, counters, profiling."""

import os
from collections.abc import Iterator

from exporter.agent.inputs import counters_place, counters_source
from exporter.catalogue import ANSWERED
from exporter.counters import parse_counters
from exporter.doctor.finding import LOADS, Finding, broken, holds, some, unseen
from exporter.doctor.nvml_look import NvmlSeen
from exporter.doctor.surroundings import Surroundings
from exporter.errors import ConfigError, DriverNotLoaded, LibraryMissing, NotPermitted, given_by
from exporter.model import Reason
from exporter.settings import Settings

_PROFILING = "DCGM_FI_PROF_"

NOT_HERE = "this machine has no NVIDIA GPU, and this is not a pod"
_GO_THERE = "To check the node: kubectl exec -n NAMESPACE POD -- gpu-metrics-exporter doctor, in an exporter's pod."
_RUNTIME = (
    "In a pod: set runtimeClassName: nvidia with NVIDIA_VISIBLE_DEVICES=all, or this chart's gpuAccess.mode:"
    " hostDriver. Otherwise install NVIDIA's driver."
)
_PERMIT = (
    "Give this user access: run as root, or chmod the devices to the driver's 0666; in a pod, use runtimeClassName."
)
_REASONS = {
    Reason.GPU_LOST: "it has fallen off the bus: look for Xid 79 in dmesg, and reset the GPU or restart the machine",
    Reason.NOT_PERMITTED: "this user can't open it",
    Reason.TIMEOUT: "it is not responding",
    Reason.DRIVER_GONE: "the driver was unloaded",
}


def driver(look: Surroundings) -> Iterator[Finding]:
    """Look whether NVML starts."""
    if not look.belongs_here:
        yield unseen(NOT_HERE, _GO_THERE)
    else:
        yield judge_driver(look.settings, look.nvml)


def judge_driver(settings: Settings, seen: NvmlSeen) -> Finding:
    """Say whether NVML works as a whole."""
    if seen.error is not None:
        sentence, _, cure = str(seen.error).partition(": ")
        if isinstance(seen.error, LibraryMissing | DriverNotLoaded):
            return broken(sentence, _RUNTIME if isinstance(seen.error, LibraryMissing) else f"{cure}.")
        if isinstance(seen.error, NotPermitted):
            return broken(sentence, _PERMIT)
        return broken(
            str(seen.error), "Check dmesg and nvidia-smi: a GPU may hang. The exporter still serves the others."
        )
    if settings.mock is not None:
        return holds(f"MOCK GPUs of {settings.mock}, not real ones")
    return holds(f"driver {seen.driver}, NVML works")


def permissions(look: Surroundings) -> Iterator[Finding]:
    """Look whether the device files can be opened."""
    if not look.belongs_here:
        yield unseen(NOT_HERE)
    elif look.settings.mock is not None:
        yield holds("a mock needs no device files")
    else:
        devices = [
            path
            for path in (look.asked.root / "dev").glob("nvidia*")
            if path.name[6:] == "ctl" or path.name[6:].isdigit()
        ]
        closed = [str(path) for path in devices if not os.access(path, os.R_OK | os.W_OK)]
        has_wsl = (look.asked.root / "dev/dxg").exists()
        yield judge_permissions([str(path) for path in devices], closed, has_wsl=has_wsl)


def judge_permissions(devices: list[str], closed: list[str], *, has_wsl: bool) -> Finding:
    """Say whether the device files are there and open to this user."""
    user = f"user {os.geteuid()}"
    if closed:
        return broken(f"{user} can't open {some(closed)}", _PERMIT)
    if devices:
        return holds(f"{user} can open {len(devices)} files /dev/nvidia*")
    if has_wsl:
        return holds("WSL: /dev/dxg represents all GPUs")
    return broken("there is no /dev/nvidia*", _RUNTIME)


def devices(look: Surroundings) -> Iterator[Finding]:
    """Look which GPUs answer."""
    if not look.belongs_here:
        yield unseen(NOT_HERE)
        return
    driven = look.asked.root / "proc/driver/nvidia/gpus"
    known = len(list(driven.iterdir())) if look.settings.mock is None and driven.is_dir() else 0
    yield from judge_devices(look.nvml, known)


def judge_devices(seen: NvmlSeen, driven: int) -> Iterator[Finding]:
    """Say which GPUs answer, of those that the kernel module drives."""
    for index, reason in seen.silent.items():
        why = _REASONS.get(reason, str(reason))
        yield broken(f"GPU {index} is not responding: {why}", "The exporter still serves the other GPUs.")
    if seen.unselected:
        numbers = some(map(str, seen.unselected))
        yield broken(f"-d selects {numbers}, which does not exist", "Use the numbers that nvidia-smi -L shows.")
    if seen.error is not None and not seen.models:
        yield unseen("NVML lists no GPU")
    elif not seen.models and not seen.silent:
        yield broken("NVML works, but lists no GPU", "In a container, set NVIDIA_VISIBLE_DEVICES=all.")
    elif seen.models:
        models = sorted(set(seen.models.values()))
        counted = ", ".join(f"{list(seen.models.values()).count(model)} x {model}" for model in models)
        instances = sum(entity.instance is not None for entity in seen.entities)
        mig = f", {instances} MIG instances" if instances else ""
        hidden = (
            f"; the driver has {driven}: NVIDIA_VISIBLE_DEVICES hides the others" if driven > len(seen.models) else ""
        )
        yield holds(f"{counted}{mig}, exported: {seen.selected}{hidden}")


def counters(look: Surroundings) -> Iterator[Finding]:
    """Look what the counters file asks for."""
    if not look.belongs_here and not look.settings.given.keys() & {"collectors", "configmap-data", "config-file"}:
        yield unseen("see exporter for the counters of the cluster's exporters")
        return
    try:
        with given_by(counters_place(look.settings)):
            source = counters_source(look.settings)
            parsed = parse_counters(source.read(), source.name, ANSWERED)
    except ConfigError as error:
        yield broken(str(error), "gpu-metrics-exporter check, with the same flags, shows what is wrong with a file.")
        return
    names = {counter.field for counter in parsed.counters}
    yield judge_counters(source.name, names, len(parsed.warnings))


def judge_counters(source: str, fields: set[str], warnings: int) -> Finding:
    """Say whether a counters file has what autoscalers need."""
    if not fields.intersection(LOADS):
        return broken(
            f"{source} has no {LOADS[0]}, which gpu_utilization needs",
            f"Add a line: {LOADS[0]}, gauge, GPU utilization.",
        )
    left_out = f", {warnings} lines ignored: `check` says why" if warnings else ""
    return holds(f"{source}: {len(fields)} fields{left_out}")


def profiling(look: Surroundings) -> Iterator[Finding]:
    """Look whether GPM gives what is asked of DCGM_FI_PROF_*."""
    if not look.belongs_here:
        yield unseen(NOT_HERE)
    elif look.nvml.error is not None:
        yield unseen("this needs NVML")
    else:
        yield judge_profiling(look.nvml.without_gpm)


def judge_profiling(without_gpm: dict[str, Reason]) -> Finding:
    """Say which GPUs have profiling; older ones have none, and nothing is broken by that."""
    denied = [model for model, why in without_gpm.items() if why is Reason.NOT_PERMITTED]
    if denied:
        return broken(
            f"profiling of {some(denied)} is not permitted",
            "Run as root, or set NVreg_RestrictProfilingToAdminUsers=0.",
        )
    if without_gpm:
        return holds(f"no GPM on {some(without_gpm)} (Hopper and newer have it), so {_PROFILING}* have no series")
    return holds(f"GPM works, for {_PROFILING}*")

"""What /health and /ready say about GPUs and owners, in one line."""

from collections import Counter
from collections.abc import Callable

from exporter.model import Condition
from exporter.sampling.supervisor import Supervisor
from exporter.server.endpoints import Health

NOTHING_SELECTED = "no GPU is selected: nothing on this machine matches --devices"


def health(supervisor: Supervisor, owners: Callable[[], str], *, require_gpus: bool) -> Health:
    """Say whether the process does its work: its GPUs are being watched, however they are.

    With `require_gpus` also whether at least one GPU is sampled. What is known of owners is said, and decides nothing.
    """
    if not supervisor.watching():
        return Health(ok=False, text="the GPUs are no longer being watched")
    states = supervisor.states()
    if require_gpus and not any(state.condition is Condition.SAMPLED for state in states):
        return Health(ok=False, text=f"no GPU is sampled: {_summary(supervisor)}")
    return Health(ok=True, text=f"{_summary(supervisor)}; owners: {owners()}")


def ready(supervisor: Supervisor, owners_settled: Callable[[], bool], owners: Callable[[], str]) -> Health:
    """Say whether all is known that can be: GPUs and NVML are read or in trouble, and kubelet, if need be, was asked.

    A node in trouble is ready, too. Its metrics say so, and a DaemonSet update that waits for readiness continues.
    """
    states = supervisor.states()
    is_known = supervisor.listed() or supervisor.trouble()
    if not is_known or any(state.condition is Condition.STARTING for state in states):
        return Health(ok=False, text=_summary(supervisor))
    if not owners_settled():
        return Health(ok=False, text="kubelet has not been asked yet which pods hold the GPUs")
    return Health(ok=True, text=f"{_summary(supervisor)}; owners: {owners()}")


def _summary(supervisor: Supervisor) -> str:
    if supervisor.trouble():
        return supervisor.trouble()
    if not supervisor.listed():
        return "NVML is starting"
    conditions = Counter(state.condition for state in supervisor.states())
    counted = ", ".join(f"{conditions[c]} {c}" for c in Condition if conditions[c])
    return f"GPUs: {counted}" if counted else NOTHING_SELECTED

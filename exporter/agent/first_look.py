"""The first look at the GPUs, where the exporter must not serve without them."""

import time
from collections.abc import Callable

from exporter.errors import ConfigError
from exporter.sampling.supervisor import Supervisor
from exporter.settings import Settings

FIRST_LOOK_S = 30.0


def found_gpus(supervisor: Supervisor, settings: Settings, is_stopping: Callable[[], bool]) -> bool:
    """Wait until NVML has listed the GPUs or can't; one that hangs, or was let go, is not waited for.

    Returns:
        False if NVML does not find them; the log has said why.

    Raises:
        ConfigError: No GPU has an index that is asked for. Where no index is named, what is selected may come yet.
    """
    deadline = time.monotonic() + FIRST_LOOK_S
    while not (supervisor.listed() or is_stopping() or time.monotonic() >= deadline):
        if supervisor.trouble():
            return not supervisor.has_failed()
        time.sleep(0.01)
    names_indices = all(selection.ids is not None for selection in settings.devices)
    if names_indices and supervisor.listed() and not supervisor.states():
        raise ConfigError(f"{settings.place('devices')} names only indices that no GPU has")
    return True

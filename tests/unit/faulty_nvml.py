"""A mock NVML of which a test replaces single functions, and that knows how often each was called."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pynvml

from exporter.mock import MockNvml


class FaultyNvml:
    """Stands where the module pynvml stands; `replaced` holds functions by their names."""

    def __init__(self, nvml: MockNvml) -> None:
        self.replaced: dict[str, Callable[..., Any]] = {}
        self.calls: Counter[str] = Counter()
        self._nvml = nvml

    def __getattr__(self, name: str) -> Any:
        found = self.replaced.get(name) or getattr(self._nvml, name)

        def counted(*args: Any) -> Any:
            self.calls[name] += 1
            return found(*args)

        return counted if callable(found) and not isinstance(found, type) else found


def failing(code: int) -> Callable[..., Any]:
    """Return a function that fails with an NVML return code."""

    def fail(*_: Any) -> Any:
        raise pynvml.NVMLError(code)

    return fail

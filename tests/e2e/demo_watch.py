"""What `kubectl get hpa -w` prints of an autoscaler, without the lines in which nothing but the age is new."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_AGAIN_AFTER_S = 1.0
_MOST_BYTES = 65536


class AutoscalerLines:
    """Such lines, while `with` lasts. A watch that the API server ends, as it does now and then, is begun again."""

    def __init__(self, kubectl: Path, kubeconfig: Path, name: str, namespace: str) -> None:
        where = (f"--kubeconfig={kubeconfig}", f"--cache-dir={kubeconfig.parent / 'cache'}", f"--namespace={namespace}")
        self._command = (kubectl, *where, "get", "hpa", name, "--watch")
        self._pending = b""
        self._header = ""
        self._columns: list[str] = []

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def fileno(self) -> int:
        """Return what select() waits for."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> Iterator[str]:
        """Yield the lines that have come."""
        came = os.read(self.fileno(), _MOST_BYTES)
        if not came:
            self._process.communicate()
            time.sleep(_AGAIN_AFTER_S)
            self._start()
        *lines, self._pending = (self._pending + came).split(b"\n")
        yield from filter(self._is_new, (line.decode() for line in lines))

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends it
        )

    def _is_new(self, line: str) -> bool:
        if not self._header:
            self._header = line
            return True
        *columns, _ = line.split()
        if line == self._header or columns == self._columns:
            return False
        self._columns = columns
        return True

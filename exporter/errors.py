"""Every error that the exporter raises, as one tree.

ExporterError
├─ ConfigError               the user can fix it; the program ends with exit code 2
│  ├─ RecordingError         a recording is damaged or of another version
│  └─ MissingExtra           a package that only an extra installs is missing
├─ NvmlError                 the driver or its library does not work; retried with back-off, or exit code 1
│  ├─ LibraryMissing         libnvidia-ml.so.1 can't be loaded
│  ├─ DriverMismatch         library and kernel module are of different releases
│  ├─ DriverNotLoaded        the kernel module is not there
│  └─ NotPermitted           /dev/nvidia* can't be opened
├─ KubeError                 the API server gives no answer, or another one than asked for; tried again with back-off
│  └─ AnswerTooLarge         its answer does not end where one must; asked for again in smaller pieces
└─ FetchError                an HTTP server that a command asks gives no answer
   └─ NotLetIn               it wants a password or a certificate, or has one that can't be trusted

A single reading that fails is no exception: it is a `Missing` in a snapshot (see model.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_VALUE = 80


class ExporterError(Exception):
    """Something went wrong that one sentence can explain to the user: what, where, what to do."""


class ConfigError(ExporterError):
    """A setting, a counters file or a scenario is wrong; names the place, the value and what is accepted."""


class RecordingError(ConfigError):
    """A recording can't be read; names file, record and field."""


class MissingExtra(ConfigError):
    """A package is not installed that an extra of this one brings; `lack` says which, `cure` how to install it."""

    def __init__(self, lack: str, extra: str) -> None:
        self.lack = lack
        self.cure = f"in a clone of the source: pip install '.[{extra}]'; of a release: pip install 'WHEEL[{extra}]'"
        super().__init__(f"{lack}; {self.cure}")


class NvmlError(ExporterError):
    """NVML can't be used at all."""


class LibraryMissing(NvmlError):
    """The NVML library can't be loaded."""


class DriverMismatch(NvmlError):
    """The NVML library and the NVIDIA kernel module are of different releases."""


class DriverNotLoaded(NvmlError):
    """The NVIDIA kernel module is not loaded."""


class NotPermitted(NvmlError):
    """The NVIDIA device files can't be opened by this user."""


class KubeError(ExporterError):
    """The API server does not answer, or not as asked; `status` is the HTTP status of its answer, 0 for none."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class AnswerTooLarge(KubeError):
    """The API server's answer is larger than any that is read."""


class FetchError(ExporterError):
    """An HTTP server does not answer well; `status` is the HTTP status of its answer, 0 for none."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class NotLetIn(FetchError):
    """An HTTP server and this program don't trust each other."""


@contextmanager
def given_by(place: str) -> Iterator[None]:
    """Let an error say which setting gave what can't be used; `place` is how the user knows it."""
    try:
        yield
    except ExporterError as error:
        if place not in str(error):
            error.args = (f"{error} (from {place})",)
        raise


def describe(value: object) -> str:
    """Return a short description of a wrong value, for the sentence of an error."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."

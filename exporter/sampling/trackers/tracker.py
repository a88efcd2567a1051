"""What every tracker offers, and what it says of itself."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Any, ClassVar, NamedTuple, Protocol

from exporter.catalogue.reading import Reading, Tracked
from exporter.model import Entity, Missing, Reason, Sample
from exporter.nvml.calls import FieldAnswer, FieldId

FieldValues = Mapping[FieldId, FieldAnswer]
"""What one nvmlDeviceGetFieldValues answered for all that were due."""


class Observation(NamedTuple):
    """One answer of a reading for one entity: what its fields convert, or the reason for none.

    `until` is when it stops being true, in monotonic seconds, however long its samples might live. `because` is for
    people, where a reason needs more.
    """

    reading: Reading
    entity: Entity
    answer: Any | Reason
    until: float = inf
    because: str = ""


class DeviceTracker(Protocol):
    """Remembers one device's past for one kind of reading. Lives as long as the device's layout.

    Attributes:
        outlives_gpu: Whether it has values that stay true when the GPU is not responding. Then no answer of
            it shows that the GPU answers.
    """

    outlives_gpu: ClassVar[bool] = False

    def needs(self, readings: tuple[Tracked, ...]) -> tuple[FieldId, ...]:  # noqa: ARG002  (by default, none)
        """Return the field values that readings are made of."""
        return ()

    def review(self, samples: Iterable[Sample], missing: Iterable[Missing]) -> None:  # noqa: ARG002
        """See what else is known of the device, before an answer that is made of it; by default, it is not."""
        return

    def collect(self, readings: tuple[Tracked, ...], values: FieldValues) -> Iterator[Observation]:
        """Read the device once and answer the readings; which readings are asked may change between calls.

        Args:
            readings: What is to be answered.
            values: The field values that they need.
        """

    def begin_span(self, readings: tuple[Tracked, ...]) -> None:  # noqa: ARG002  (by default, none is a mean)
        """Let the means of some readings begin where their last answers end, for somebody has those."""
        return

    def last_words(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:  # noqa: ARG002  (by default, none)
        """Answer, for a GPU that is gone, those readings of which something stays true."""
        yield from ()

    def inherit(self, former: "DeviceTracker") -> None:
        """Take over what stays true from a tracker of the same kind and GPU, whose time has ended."""

    def keep_up(self) -> None:
        """Read what the driver would have forgotten by the next collection, where that is far away."""
        return  # by default, nothing; mypy takes an empty body for an abstract one

    def found_change(self) -> bool:
        """Say whether it has learnt, since this was asked last, that the device may not be as it was."""
        return False

    def interrupt(self) -> None:
        """Forget what the next collection must not be compared with, because it comes too late. Totals stay."""

    def close(self) -> None:
        """Give what is held back to the driver."""

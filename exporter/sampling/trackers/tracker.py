"""What every tracker offers."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from exporter.catalogue.reading import Reading, Tracked
from exporter.model import Entity, Holder, Reason


class Observation(NamedTuple):
    """One answer of a reading for one entity: what its fields convert, or the reason for none."""

    reading: Reading
    entity: Entity
    answer: Any | Reason
    holder: Holder | None = None


class DeviceTracker(Protocol):
    """Remembers one device's past for one kind of reading. Lives as long as the device's layout."""

    def collect(self, readings: tuple[Tracked, ...]) -> Iterator[Observation]:
        """Read the device once and answer the readings; which readings are asked may change between calls."""

    def close(self) -> None:
        """Give what is held back to the driver."""

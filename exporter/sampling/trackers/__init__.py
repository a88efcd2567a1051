"""What must remember between collections: one module per kind, one instance per device.

A new kind is a module with its DeviceTracker, its name in the catalogue's `Tracker`, and its line in TRACKERS here.
"""

from collections.abc import Callable, Mapping

from exporter.catalogue.reading import Tracker
from exporter.model import Clock
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Device
from exporter.sampling.trackers.clock_events import ClockEventTracker
from exporter.sampling.trackers.events import EventTracker
from exporter.sampling.trackers.gpm import GpmTracker
from exporter.sampling.trackers.health import HealthTracker
from exporter.sampling.trackers.link_registers import LinkRegisterTracker
from exporter.sampling.trackers.peers import PeerTracker
from exporter.sampling.trackers.rates import RateTracker
from exporter.sampling.trackers.rings import RingTracker
from exporter.sampling.trackers.tracker import DeviceTracker

TRACKERS: Mapping[Tracker, Callable[[Calls, Device, Clock], DeviceTracker]] = {
    Tracker.CLOCK_EVENTS: ClockEventTracker,
    Tracker.EVENTS: EventTracker,
    Tracker.GPM: GpmTracker,
    Tracker.HEALTH: HealthTracker,
    Tracker.LINK_REGISTERS: LinkRegisterTracker,
    Tracker.PEERS: PeerTracker,
    Tracker.RATES: RateTracker,
    Tracker.RINGS: RingTracker,
}
"""How to make each kind of tracker for a device."""

"""What the driver tells of by itself, as NVML's events: which types are listened to, and how often each has come."""

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import Any

import pynvml

from exporter.catalogue.convert import attr
from exporter.catalogue.reading import OWN, Field, Tracked, Tracker
from exporter.counters import Counter, MetricType
from exporter.model import Labels

XID = pynvml.nvmlEventTypeXidCriticalError

EVENT_NAMES: Mapping[int, str] = {
    XID: "xid",
    pynvml.nvmlEventTypeSingleBitEccError: "single_bit_ecc",
    pynvml.nvmlEventTypeDoubleBitEccError: "double_bit_ecc",
    pynvml.nvmlEventTypeClock: "clock",
    pynvml.nvmlEventTypePowerSourceChange: "power_source",
    pynvml.nvmlEventMigConfigChange: "mig_config",
    pynvml.nvmlEventTypeGpuRecoveryAction: "recovery_action",
}
"""The types of events that are listened to, where the GPU has them."""

OF_LAYOUT = frozenset({pynvml.nvmlEventMigConfigChange, pynvml.nvmlEventTypeGpuRecoveryAction})
"""The types after which a GPU may be divided in another way, or be another one."""


class EventSource(IntEnum):
    """What the tracker of events answers: the first number of a reading's source.

    EVENTS: how often each type has come. LAST_XID: the newest Xid; behind it the milliseconds after which it is 0
    again, 0 for never. XIDS_WITHIN: how many of each code have come within so many milliseconds. XID_TOTALS: how many
    in all. XID_TIMES: when the last of each code came.
    """

    EVENTS = auto()
    LAST_XID = auto()
    XIDS_WITHIN = auto()
    XID_TOTALS = auto()
    XID_TIMES = auto()


EVENTS_TOTAL = Counter(
    "gpu_exporter_driver_events_total",
    "gpu_exporter_driver_events_total",
    OWN,
    MetricType.COUNTER,
    "Events that the driver has reported since the exporter began to listen, by type.",
)
"""Our own series; a type has one once it has come."""


def _type(answer: Any) -> Labels:
    return (("event", answer.what),)


READINGS = (Tracked(Tracker.EVENTS, (EventSource.EVENTS,), (Field(EVENTS_TOTAL.field, attr("value"), _type),)),)

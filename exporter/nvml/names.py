"""What NVML calls what a reading asks for: the names under which its cost is noted."""

from exporter.catalogue.clocks import CURRENT_REASONS
from exporter.catalogue.reading import Call, FieldValue, Reading, Tracker
from exporter.nvml.answers import field_value_name

TRACKED = {
    Tracker.CLOCK_EVENTS: tuple(version.function for version in CURRENT_REASONS.versions),
    Tracker.EVENTS: ("nvmlEventSetWait_v2",),
    Tracker.GPM: ("nvmlGpmMetricsGet", "nvmlGpmSampleGet", "nvmlGpmMigSampleGet"),
    Tracker.LINK_REGISTERS: ("nvmlDeviceReadPRMCounters_v1",),
    Tracker.PEERS: ("nvmlDeviceGetP2PStatus",),
    Tracker.RINGS: ("nvmlDeviceGetSamples",),
}
"""The functions of trackers that call NVML; what rates are made of are field values."""


def names_of(reading: Reading) -> tuple[str, ...]:
    """Return the names of the functions or field values of a reading, the one that answers it first."""
    match reading:
        case Call():
            return tuple(version.function for version in reading.versions)
        case FieldValue():
            return (field_value_name(reading.field_id),)
        case _ if reading.tracker in TRACKED:
            return TRACKED[reading.tracker]
        case _:
            return tuple(field_value_name(field_id) for field_id in reading.source[1:])

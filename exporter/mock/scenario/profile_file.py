"""Profiles from YAML files: one a GPU model.

A value is recorded, or stands in the file, or in that of a feature that several models have, with its source; where
nothing better is known the source says "assumed". The model's own file goes before its features, a recording before
both.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from exporter.errors import ConfigError
from exporter.mock.document import Section, parse_document
from exporter.mock.machine.profile import MigProfile, NvLink, Profile, Span
from exporter.mock.recordings.packaged import packaged_recording
from exporter.mock.recordings.recording import Recording
from exporter.mock.scenario.recorded_profile import recorded_values
from exporter.mock.scenario.value_groups import ValueGroups, expanded, read_span


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that there are, sorted."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def profile_document(name: str) -> Section:
    """Return a profile's file, parsed but not yet understood.

    Raises:
        ConfigError: There is no such profile; the sentence lists those that there are.
    """
    if name not in profile_names():
        raise ConfigError(f"mock profile {name!r} is not known; the profiles are {', '.join(profile_names())}")
    entry = _folder() / f"{name}.yaml"
    return parse_document(entry.read_text(encoding="utf-8"), entry.name)


@cache
def load_profile(name: str) -> Profile:
    """Return a profile by its name.

    Raises:
        ConfigError: There is no such profile, or its file is wrong.
    """
    top = profile_document(name)
    memory, pci = top.section("memory"), top.section("pci")
    recording = packaged_recording(top.text("recording")) if top.has("recording") else None
    values = _values(top, recording)
    profile = Profile(
        name=name,
        model=top.text("model"),
        quantities=values.spans,
        totals=values.totals,
        texts=_texts(top.section("texts")) if top.has("texts") else {},
        memory_total_bytes=memory.integer("total_bytes", 1, 2**50),
        memory_reserved_bytes=memory.integer("reserved_bytes", 0, 2**40),
        averages_power=top.choice("power_usage", ("average", "instant")) == "average",
        pci_device_id=pci.integer("device_id", 1, 2**32),
        pci_subsystem_id=pci.integer("subsystem_id", 0, 2**32, default=0),
        pci_buses=tuple(pci.items("buses")),
        nvlink=_nvlink(top.section("nvlink")) if top.has("nvlink") else None,
        mig=_mig_profiles(top.section("mig")) if top.has("mig") else {},
        has_mig=top.has("mig"),
        not_supported=dict(_not_supported(top)),
        driver=top.text("driver"),
        costs=recording.costs if recording else {},
    )
    for section in (memory, pci):
        section.text("source")
        section.finish()
    top.raw("scenario")
    top.finish()
    return profile


def _folder() -> Traversable:
    return files("exporter.mock.scenario") / "profiles"


def _values(top: Section, recording: Recording | None) -> ValueGroups:
    values = ValueGroups()
    for feature in top.items("features"):
        entry = files("exporter.mock.scenario") / "features" / f"{feature}.yaml"
        if not entry.is_file():
            raise top.error("features", f"has {feature!r}, which is not a file of the directory features")
        document = parse_document(entry.read_text(encoding="utf-8"), entry.name)
        values.take(document)
        document.finish()
    values.take(top)
    recorded = _recorded(top)
    values.spans |= {name: span for name, span in recorded.items() if name not in values.totals}
    if recording is not None:
        found = recorded_values(recording)
        values.spans |= found.spans
        values.totals |= found.totals
    return values


def _recorded(top: Section) -> dict[str, Span]:
    if not top.has("recordings"):
        return {}
    names = top.section("recordings")
    idle, busy = (packaged_recording(names.text(state)) for state in ("idle", "busy"))
    names.finish()
    return {name: Span(idle.mean(name), busy.mean(name)) for name in idle.names() & busy.names()}


def _not_supported(top: Section) -> Iterator[tuple[str, str]]:
    for group in top.sections("not_supported"):
        source = group.text("source")
        yield from ((name, source) for pattern in group.items("fields") for name in expanded(pattern))
        group.finish()


def _texts(section: Section) -> dict[str, str]:
    section.text("source")
    values = section.section("values")
    section.finish()
    return {name: values.text(name) for name in values.names()}


def _nvlink(section: Section) -> NvLink:
    transmit, receive = section.section("transmit_kib_per_s"), section.section("receive_kib_per_s")
    nvlink = NvLink(
        links=section.integer("links", 1, 18),
        transmit=read_span(transmit),
        receive=read_span(receive),
        is_default=section.flag("default", default=True),
    )
    section.text("source")
    for part in (section, transmit, receive):
        part.finish()
    return nvlink


def _mig_profiles(section: Section) -> dict[str, MigProfile]:
    section.text("source")
    profiles = section.section("profiles")
    section.finish()
    return {name: _mig_profile(name, profiles.section(name)) for name in profiles.names()}


def _mig_profile(name: str, section: Section) -> MigProfile:
    profile = MigProfile(
        name=name,
        slices=section.integer("slices", 1, 7),
        memory_slices=section.integer("memory_slices", 1, 8),
        starts=tuple(section.items("starts")),
        first_id=section.integer("first_id", 0, 14),
        memory_mib=section.integer("memory_mib", 1, 2**24),
    )
    section.finish()
    return profile

"""Profiles from YAML files: one a GPU model.

A value is taken from the recordings that the profile names, or stands in the file with its source; where nothing
better is known the source says "assumed".
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from exporter.errors import ConfigError
from exporter.mock.document import UNLIMITED, Section, parse_document
from exporter.mock.machine.profile import MigProfile, NvLink, Profile, Span, Total
from exporter.mock.recordings.packaged import packaged_recording


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
        raise ConfigError(f"mock profile {name!r} is not known, the profiles are {', '.join(profile_names())}")
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
    profile = Profile(
        name=name,
        model=top.text("model"),
        quantities=_recorded(top) | _constants(top) | _stated(top.section("quantities")),
        totals=_totals(top.section("totals")) if top.has("totals") else {},
        texts=_texts(top.section("texts")) if top.has("texts") else {},
        memory_total_bytes=memory.integer("total_bytes", 1, 2**50),
        memory_reserved_bytes=memory.integer("reserved_bytes", 0, 2**40),
        averages_power=top.choice("power_usage", ("average", "instant")) == "average",
        has_gpm=top.flag("gpm", default=False),
        pci_device_id=pci.integer("device_id", 1, 2**32),
        pci_subsystem_id=pci.integer("subsystem_id", 0, 2**32, default=0),
        pci_buses=tuple(pci.items("buses")),
        nvlink=_nvlink(top.section("nvlink")) if top.has("nvlink") else None,
        mig=_mig_profiles(top.section("mig")) if top.has("mig") else {},
        driver=top.text("driver"),
    )
    for section in (memory, pci):
        section.text("source")
        section.finish()
    top.raw("scenario")
    top.finish()
    return profile


def _folder() -> Traversable:
    return files("exporter.mock.scenario") / "profiles"


def _recorded(top: Section) -> dict[str, Span]:
    if not top.has("recordings"):
        return {}
    names = top.section("recordings")
    idle, busy = (packaged_recording(names.text(state)) for state in ("idle", "busy"))
    names.finish()
    return {name: Span(idle.mean(name), busy.mean(name)) for name in idle.names() & busy.names()}


def _constants(top: Section) -> dict[str, Span]:
    """Return what does not depend on the load: groups of values with one source each."""
    spans = {}
    for group in top.sections("constants") if top.has("constants") else ():
        group.text("source")
        values = group.section("values")
        for name in values.names():
            number = values.number(name, 0, UNLIMITED)
            spans[name] = Span(number, number)
        group.finish()
    return spans


def _totals(section: Section) -> dict[str, Total]:
    totals = {}
    for name in section.names():
        stated = section.section(name)
        totals[name] = Total(stated.number("start", 0, UNLIMITED), read_span(stated))
        stated.text("source")
        stated.finish()
    return totals


def _texts(section: Section) -> dict[str, str]:
    section.text("source")
    values = section.section("values")
    section.finish()
    return {name: values.text(name) for name in values.names()}


def _stated(section: Section) -> dict[str, Span]:
    spans = {}
    for name in section.names():
        stated = section.section(name)
        spans[name] = read_span(stated)
        stated.text("source")
        stated.finish()
    return spans


def read_span(section: Section, most: float = UNLIMITED) -> Span:
    """Return what a section with the keys idle and busy says, each from 0 to the most."""
    return Span(section.number("idle", 0, most), section.number("busy", 0, most))


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

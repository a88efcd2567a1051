"""Scenarios from YAML files: the user's own, each profile's default, and hosts that were recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from exporter.errors import ConfigError
from exporter.mock.document import UNLIMITED, Section, parse_document
from exporter.mock.machine.fault import Fault
from exporter.mock.machine.faults import MACHINE_KINDS, read_fault
from exporter.mock.machine.hardware_faults import MigFault
from exporter.mock.machine.loads import Load
from exporter.mock.machine.placement import place_instances
from exporter.mock.machine.profile import MigProfile, Profile, Span
from exporter.mock.machine.quantities import QUANTITIES, is_quantity
from exporter.mock.machine.scenario import CostPlay, Scenario, ScenarioGpu, ScenarioInstance
from exporter.mock.scenario.demand_file import parse_demands
from exporter.mock.scenario.load_file import LoadPlace, named_recording, parse_load, parse_replay
from exporter.mock.scenario.pod_file import parse_pods
from exporter.mock.scenario.profile_file import load_profile, profile_document, profile_names
from exporter.mock.scenario.recorded_profile import recorded_profile
from exporter.mock.scenario.value_groups import read_span
from exporter.user_file import read_text

MOST_GPUS = 64


def host_names() -> tuple[str, ...]:
    """Return the names of the recorded hosts that this package has, sorted."""
    names = (entry.name for entry in _hosts().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios of this package: of profiles and of recorded hosts, sorted."""
    return tuple(sorted((*profile_names(), *host_names())))


def load_scenario(name_or_path: str) -> Scenario:
    """Return a profile's default scenario, a recorded host, or what a file describes.

    Args:
        name_or_path: The name of a profile or host, or the path of a YAML file.

    Raises:
        ConfigError: There is neither, or the file or a recording that it replays is wrong; names file, key and reason.
    """
    if name_or_path in profile_names():
        document = profile_document(name_or_path)
        return parse_scenario(document.section("scenario"), None)
    if name_or_path in host_names():
        entry = _hosts() / f"{name_or_path}.yaml"
        return parse_scenario(parse_document(entry.read_text(encoding="utf-8"), entry.name), None)
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"} and not path.exists():
        raise ConfigError(
            f"mock profile {name_or_path!r} is not known: use one of {', '.join(scenario_names())}, "
            "or the path of a scenario file that ends in .yaml"
        )
    text = read_text(path, "scenario")
    return parse_scenario(parse_document(text, str(path)), path.parent)


def parse_scenario(section: Section, folder: Path | None) -> Scenario:
    """Return the scenario that a document describes.

    Args:
        section: The document.
        folder: Where relative paths of recordings start from; None where there is no such place.

    Raises:
        ConfigError: Names file, key and reason.
    """
    seed = section.integer("seed", 0, 2**63, 0)
    demands = parse_demands(section)
    entries = section.sections("gpus")
    gpus: list[ScenarioGpu] = []
    for entry in entries:
        profile = _profile(entry, folder)
        for _ in range(entry.integer("count", 1, MOST_GPUS, 1)):
            place = LoadPlace(seed, f"gpu {len(gpus)}", folder, tuple(demands))
            gpus.append(_gpu(entry, profile, place, default_minor=len(gpus)))
        entry.finish()
    if not 1 <= len(gpus) <= MOST_GPUS:
        raise section.error("gpus", f"has {len(gpus)} GPUs; expected 1 to {MOST_GPUS}")
    _refuse_twins(section, gpus)
    driver = section.text("driver", gpus[0].profile.driver)
    faults = tuple(read_fault(fault, kinds=MACHINE_KINDS) for fault in section.sections("faults"))
    scenario = Scenario(seed, driver, tuple(gpus), demands, parse_pods(section, gpus), faults)
    section.finish()
    return scenario


def _hosts() -> Traversable:
    return files("exporter.mock.scenario") / "hosts"


def _refuse_twins(section: Section, gpus: list[ScenarioGpu]) -> None:
    minors = [gpu.minor for gpu in gpus]
    twins = sorted({minor for minor in minors if minors.count(minor) > 1})
    if twins:
        raise section.error("gpus", f"has several GPUs with minor {twins[0]}; each needs its own number")


def _gpu(entry: Section, profile: Profile, place: LoadPlace, default_minor: int) -> ScenarioGpu:
    instances = _instances(entry, profile, place)
    return ScenarioGpu(
        profile=profile,
        minor=entry.integer("minor", 0, 255, default_minor),
        load=_load(entry, place),
        has_nvlink=_has_nvlink(entry, profile, is_divided=bool(instances)),
        instances=instances,
        values=dict(_values(entry.section("values"), profile)) if entry.has("values") else {},
        faults=tuple(_faults(entry, mig_devices=sum(len(instance.compute) for instance in instances))),
        costs=_costs(entry, profile),
    )


def _faults(entry: Section, mig_devices: int) -> Iterator[Fault]:
    for section in entry.sections("faults"):
        fault = read_fault(section)
        most = max(fault.devices, default=0) if isinstance(fault, MigFault) else -1
        if most >= mig_devices:
            raise section.error("devices", f"has {most}, the GPU has {mig_devices} MIG devices")
        yield fault


def _load(entry: Section, place: LoadPlace) -> Load:
    """Return the load of a GPU; one that a recording describes replays it where nothing else is stated."""
    if entry.has("recording") and not entry.has("load"):
        return parse_replay(entry, place)
    return parse_load(entry, "load", place)


def _costs(entry: Section, profile: Profile) -> CostPlay | None:
    if not entry.has("costs"):
        return None
    play = CostPlay(entry.choice("costs", tuple(CostPlay)))
    if not profile.costs:
        raise entry.error("costs", f"is set, what calls take on a {profile.name} is not recorded")
    return play


def _has_nvlink(entry: Section, profile: Profile, *, is_divided: bool) -> bool:
    is_possible = profile.nvlink is not None and not is_divided
    if entry.flag("nvlink", default=False) and not is_possible:
        raise entry.error("nvlink", f"is true, {profile.name} has none{' where MIG divides it' if is_divided else ''}")
    return is_possible and entry.flag("nvlink", default=profile.nvlink is not None and profile.nvlink.is_default)


def _profile(entry: Section, folder: Path | None) -> Profile:
    """Return the model that an entry names, or that its recording describes."""
    if not entry.has("recording"):
        return load_profile(entry.choice("profile", profile_names()))
    if entry.has("profile"):
        raise entry.error("recording", "is set together with profile; set only one")
    recording = named_recording(entry, folder)
    try:
        return recorded_profile(recording, entry.text("recording"))
    except ConfigError as error:
        raise entry.error("recording", str(error)) from error


def _values(section: Section, profile: Profile) -> Iterator[tuple[str, Span]]:
    for name in section.names():
        if not is_quantity(name):
            raise section.error(
                name, f"is not a quantity; the quantities are {', '.join(sorted(QUANTITIES))} and gpm.*"
            )
        most = UNLIMITED
        if name.endswith("_percent"):
            most = 100
        elif name == "memory_used_bytes":
            most = profile.memory_total_bytes - profile.memory_reserved_bytes
        if isinstance(section.raw(name), Mapping):
            span = section.section(name)
            yield name, read_span(span, most)
            span.finish()
        else:
            value = section.number(name, 0, most)
            yield name, Span(value, value)


def _instances(entry: Section, profile: Profile, place: LoadPlace) -> tuple[ScenarioInstance, ...]:
    wanted = [
        (entry.within({"profile": item} if isinstance(item, str) else item, f"mig[{i}]"), f"{place.owner} mig {i}")
        for i, item in enumerate(entry.items("mig"))
    ]
    if wanted and not profile.mig:
        raise entry.error("mig", f"is set, a {profile.name} can't be divided")
    kinds = [_mig_profile(section, profile) for section, _ in wanted]
    starts = place_instances(kinds)
    if starts is None:
        raise entry.error("mig", f"has {' + '.join(kind.name for kind in kinds)}, which do not fit on one GPU")
    instances = []
    for (section, owner), kind, start in zip(wanted, kinds, starts, strict=True):
        source = section if section.has("load") else entry
        load = parse_load(source, "load", replace(place, owner=owner))
        instances.append(ScenarioInstance(kind, start, _compute(section, kind), load))
        section.finish()
    return tuple(instances)


def _mig_profile(section: Section, profile: Profile) -> MigProfile:
    return profile.mig[section.choice("profile", tuple(profile.mig))]


def _compute(section: Section, kind: MigProfile) -> tuple[int, ...]:
    slices = section.items("compute") or [kind.slices]
    if not all(type(part) is int and part >= 1 for part in slices) or sum(slices) > kind.slices:
        raise section.error("compute", f"is {slices}; expected whole numbers with a sum of at most {kind.slices}")
    return tuple(slices)

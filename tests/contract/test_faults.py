"""What is promised when a GPU goes wrong: no wrong value, others at full rate, and all as before two intervals later.

Each fault of the mock is played on one of two GPUs, beside a twin of the machine on which nothing goes wrong. At each
collection every value of the sick GPU is its twin's, or is the one that the fault makes of it, or is not there.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.catalogue import CATALOGUE
from exporter.model import DeviceSnapshot, Reason
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices
from tests.golden.memory_scrape import counters_of
from tests.unit.fake_clock import FakeClock
from tests.unit.mock_machines import scenario, started

BEGIN, END, LAST = 5, 10, 14
SPELL = f"at_s: {BEGIN}, until_s: {END}"
HEALTH = "DCGM_EXP_GPU_HEALTH_STATUS"
MORE = (
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
    "DCGM_FI_DEV_ECC_DBE_VOL_DEV",
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
    "DCGM_FI_DEV_POWER_VIOLATION",
    "DCGM_FI_DEV_ROW_REMAP_FAILED",
    "DCGM_FI_DEV_ROW_REMAP_PENDING",
    "DCGM_FI_DEV_THERMAL_VIOLATION",
    HEALTH,
)
FIELDS = {c.field for c in counters_of("default-counters.csv") if c.field.startswith("DCGM_")} | set(MORE)

Key = tuple[str, tuple[tuple[str, str], ...]]
Change = Callable[[float, Any], Any]
"""From seconds since the fault began and the sound value to what the sick GPU shows."""


def grows(errors: float, per_s: float = 0) -> Change:
    return lambda t, sound: sound + errors + per_s * min(t, END - BEGIN) if t >= 0 else sound


def meanwhile(change: Callable[[Any], Any]) -> Change:
    return lambda t, sound: change(sound) if 0 <= t < END - BEGIN else sound


def is_one(_sound: Any) -> int:
    return 1


@dataclass(frozen=True)
class Sickness:
    """A fault of a GPU, what it alters, what it leaves without a value meanwhile, and the watch that tells of it."""

    fault: str
    altered: Mapping[str, Change] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    health: tuple[str, int, str] | None = None
    profile: str = "h100-sxm, load: 40, nvlink: true"


THROTTLED = {
    "DCGM_FI_DEV_SM_CLOCK": meanwhile(lambda mhz: mhz // 2),
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": meanwhile(lambda bits: bits | 0x20),
    "DCGM_FI_DEV_THERMAL_VIOLATION": grows(0, 10**9),
}

SICKNESSES = {
    "lost": Sickness("kind: lost", silent=frozenset(FIELDS)),
    "denied": Sickness(
        "kind: denied, functions: [nvmlDeviceGetClockInfo, nvmlDeviceGetTemperature]",
        silent=frozenset({"DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_GPU_TEMP_CELSIUS"}),
    ),
    "slow": Sickness("kind: slow, seconds: 0.002, functions: [nvmlDeviceGetPowerUsage, nvmlDeviceGetFieldValues]"),
    "xid": Sickness(
        "kind: xid, code: 48",
        {"DCGM_FI_DEV_XID_ERROR": lambda t, sound: 48 if t >= 0 else sound},
        health=("ALL", 20, "DCGM_FR_XID_ERROR"),
    ),
    "corrected ECC errors": Sickness(
        "kind: ecc, errors: corrected, per_s: 3", {"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": grows(0, 3)}
    ),
    "uncorrected ECC errors": Sickness(
        "kind: ecc, errors: uncorrected, count: 2",
        {"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": grows(2), "DCGM_FI_DEV_ECC_DBE_VOL_DEV": grows(2)},
        health=("MEM", 20, "DCGM_FR_VOLATILE_DBE_DETECTED"),
    ),
    "a row that waits": Sickness(
        "kind: row-remap, state: pending",
        {"DCGM_FI_DEV_ROW_REMAP_PENDING": meanwhile(is_one)},
        health=("MEM", 10, "DCGM_FR_PENDING_ROW_REMAP"),
    ),
    "a row that could not be remapped": Sickness(
        "kind: row-remap, state: failed",
        {"DCGM_FI_DEV_ROW_REMAP_FAILED": meanwhile(is_one)},
        health=("MEM", 20, "DCGM_FR_ROW_REMAP_FAILURE"),
    ),
    "PCIe replays": Sickness(
        "kind: pcie-replays, count: 1, per_s: 4",
        {"DCGM_FI_DEV_PCIE_REPLAY_TOTAL": grows(1, 4)},
        health=("PCIE", 10, "DCGM_FR_PCI_REPLAY_RATE"),
    ),
    "heat": Sickness("kind: throttle, by: heat", THROTTLED, health=("THERMAL", 10, "DCGM_FR_CLOCK_THROTTLE_THERMAL")),
    "nothing that a T4 would have": Sickness("kind: row-remap, state: failed", profile="t4, load: 40"),
}


class Ward:
    """Two GPUs, of which the first may be sick, and their samplers."""

    def __init__(self, profile: str, fault: str, fields: Collection[str] = FIELDS) -> None:
        self.clock = FakeClock()
        nvml = started(scenario(f"gpus: [{{profile: {profile}{fault}}}, {{profile: {profile}}}]"), self.clock)
        self.samplers = [self._sampler(Calls(nvml), index, fields) for index in range(2)]

    def _sampler(self, calls: Calls, index: int, fields: Collection[str]) -> Sampler:
        layout = find_layout(calls, index)
        assert isinstance(layout, Layout)
        device = select({index: layout}, parse_devices("f"))[index]
        sampler = Sampler(device, calls, Pacing(self.clock, 1.0), lambda _: None)
        sampler.follow(plan(fields, CATALOGUE))
        return sampler

    def seconds(self, last: int = LAST, step_s: int = 1) -> Iterator[tuple[int, list[DeviceSnapshot]]]:
        for second in range(0, last + 1, step_s):
            yield second, [sampler.collect() for sampler in self.samplers]
            self.clock.advance(step_s)


def values(snapshot: DeviceSnapshot) -> dict[Key, Any]:
    samples = (sample for sample in snapshot.samples if sample.field in FIELDS - {HEALTH})
    return {(sample.field, sample.labels): sample.value for sample in samples}


def health(snapshot: DeviceSnapshot) -> dict[str, tuple[int, str]]:
    found = [(dict(s.labels), int(s.value)) for s in snapshot.samples if s.field == HEALTH]
    return {labels["health_watch"]: (value, labels["health_error_code"]) for labels, value in found}


@pytest.mark.parametrize("name", SICKNESSES)
def test_a_fault_costs_what_it_must_and_is_over_two_intervals_after_its_end(name: str) -> None:
    sickness = SICKNESSES[name]
    until = "" if "kind: xid" in sickness.fault else f", until_s: {END}"
    sick, twin = (
        Ward(sickness.profile, fault) for fault in (f", faults: [{{{sickness.fault}, at_s: {BEGIN}{until}}}]", "")
    )
    for (second, (patient, neighbour)), (_, (sound, other)) in zip(sick.seconds(), twin.seconds(), strict=True):
        is_on = BEGIN <= second < END
        assert values(neighbour) == values(other)
        assert health(neighbour) == health(other)
        seen, due = values(patient), values(sound)
        for (name_of_field, labels), value in seen.items():
            change = sickness.altered.get(name_of_field)
            if change is None:
                assert value == due[name_of_field, labels], (second, name_of_field)
            else:
                (expected,) = (one for (known, _), one in due.items() if known == name_of_field)
                assert value == change(second - BEGIN, expected), (second, name_of_field)
        missing = {known for known, _ in due} - {known for known, _ in seen}
        assert missing <= (sickness.silent if BEGIN <= second < END + 2 else frozenset()), second
        assert (patient.gone is Reason.GPU_LOST) == (is_on and name == "lost")
        if sickness.health and BEGIN + 3 < second < END:
            watch, result, code = sickness.health
            assert health(patient)[watch] == (result, code)
        if not sickness.health and not BEGIN <= second < END + 2:
            assert health(patient) == health(sound)


def test_what_is_read_once_a_minute_tells_of_a_fault_within_two_and_of_its_end_within_two_more() -> None:
    faults = "{kind: inforom, at_s: 0}, {kind: nvlink, error: crc, link: 3, at_s: 100, count: 5}"
    ward = Ward("h100-sxm, nvlink: true", f", faults: [{faults}]", {HEALTH})
    seen = {second: health(snapshots[0]) for second, snapshots in ward.seconds(360, step_s=2)}
    assert {found.get("INFOROM") for found in seen.values()} == {(10, "DCGM_FR_CORRUPT_INFOROM")}
    bad = [second for second, found in seen.items() if found.get("NVLINK") == (10, "DCGM_FR_NVLINK_ERROR_THRESHOLD")]
    assert 100 <= bad[0] <= 220
    assert bad[-1] <= 220 + 120
    assert all(found["NVLINK"] == (0, "DCGM_FR_OK") for second, found in seen.items() if 62 < second < bad[0])
    assert seen[max(seen)]["NVLINK"] == (0, "DCGM_FR_OK")

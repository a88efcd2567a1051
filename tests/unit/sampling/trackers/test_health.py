from collections.abc import Iterable
from typing import Any

import pytest

from exporter.catalogue.health import FAIL, READINGS, WARN
from exporter.catalogue.reading import Tracker
from exporter.model import Entity, Missing, Reason, Sample
from exporter.sampling.trackers.health import PASS
from tests.unit.sampling.trackers.bench import Bench

READING = READINGS[0]
FIRST, SECOND = "THERMAL_VIOLATION", "POWER_VIOLATION"


class Patient:
    """A GPU of which a test says what has been read; what it does not name, the GPU does not support."""

    def __init__(self) -> None:
        self._bench = Bench(Tracker.HEALTH, "{profile: h100-sxm}")
        self._gpu = Entity(self._bench.device.gpu)

    def verdicts(
        self, after_s: float = 1.0, failed: Iterable[str] = (), heard: Iterable[str] = (), **values: float
    ) -> dict[str, tuple[int, str]]:
        self._bench.clock.advance(after_s)
        expires = self._bench.clock.now + 3
        names = {f"DCGM_FI_DEV_{name}": value for name, value in values.items()}
        missing = [Missing(self._gpu, f"DCGM_FI_DEV_{name}", Reason.TIMEOUT) for name in failed]
        absent = READING.inputs
        self._bench.tracker.review(
            [
                *(Sample(self._gpu, name, value, expires) for name, value in names.items()),
                *(Sample(self._gpu, "DCGM_EXP_XID_ERRORS_TOTAL", 1, expires, (("xid", xid),)) for xid in heard),
            ],
            [*missing, *(Missing(self._gpu, name, Reason.NOT_SUPPORTED) for name in absent if name not in names)],
        )
        verdicts: list[Any] = self._bench.read(READING)
        return {verdict.watch: (verdict.result, verdict.code) for verdict in verdicts}

    def last_words(self) -> list[Any]:
        return [observation.answer for observation in self._bench.tracker.last_words((READING,))]

    def pause(self) -> None:
        self._bench.tracker.interrupt()


@pytest.fixture
def patient() -> Patient:
    return Patient()


OK = (PASS, "DCGM_FR_OK")


def test_a_watch_that_nothing_tells_of_has_no_verdict(patient: Patient) -> None:
    assert patient.verdicts() == {}
    assert patient.verdicts(INFOROM_VALID=1) == {"INFOROM": OK}


def test_the_worst_of_a_watch_is_told_and_the_others_are_sound(patient: Patient) -> None:
    found = patient.verdicts(ROW_REMAP_PENDING=1, ECC_DBE_VOL_TOTAL=2, INFOROM_VALID=0, GPU_RECOVERY_ACTION=0)
    assert found == {
        "MEM": (FAIL, "DCGM_FR_VOLATILE_DBE_DETECTED"),
        "INFOROM": (WARN, "DCGM_FR_CORRUPT_INFOROM"),
        "DRIVER": OK,
    }


def test_a_watch_is_not_sound_while_a_value_that_should_be_there_is_not(patient: Patient) -> None:
    assert patient.verdicts(ROW_REMAP_FAILED=0) == {"MEM": OK}
    assert patient.verdicts(ROW_REMAP_FAILED=0, failed=["ROW_REMAP_PENDING"]) == {}
    found = patient.verdicts(ROW_REMAP_FAILED=1, failed=["ROW_REMAP_PENDING"])
    assert found == {"MEM": (FAIL, "DCGM_FR_ROW_REMAP_FAILURE")}


def test_a_counter_is_judged_from_its_second_reading_on_whatever_it_had_come_to_before(patient: Patient) -> None:
    assert patient.verdicts(THERMAL_VIOLATION=10**9) == {}
    assert patient.verdicts(THERMAL_VIOLATION=10**9) == {"THERMAL": OK}
    assert patient.verdicts(THERMAL_VIOLATION=10**9 + 1) == {"THERMAL": (WARN, "DCGM_FR_CLOCK_THROTTLE_THERMAL")}


def test_what_a_counter_shows_ends_when_it_has_stood_still_for_a_minute(patient: Patient) -> None:
    patient.verdicts(THERMAL_VIOLATION=0)
    results = [patient.verdicts(1.0, THERMAL_VIOLATION=5)["THERMAL"][0] for _ in range(70)]
    assert results == [WARN] * 60 + [PASS] * 10


def test_a_counter_that_is_read_each_minute_is_judged_too(patient: Patient) -> None:
    results = [patient.verdicts(59.5, NVLINK_CRC_DATA_ERROR_TOTAL=errors) for errors in (0, 1, 1, 1)]
    assert [found.get("NVLINK") for found in results] == [
        None,
        *[(WARN, "DCGM_FR_NVLINK_ERROR_THRESHOLD")] * 2,
        OK,
    ]
    assert patient.verdicts(60, NVLINK_CRC_DATA_ERROR_TOTAL=20_000)["NVLINK"] == (
        FAIL,
        "DCGM_FR_NVLINK_CRC_ERROR_THRESHOLD",
    )


@pytest.mark.parametrize(("replays", "result"), [(8, PASS), (9, WARN)])
def test_a_few_replays_in_a_minute_are_no_trouble(patient: Patient, replays: int, result: int) -> None:
    patient.verdicts(PCIE_REPLAY_TOTAL=100)
    for second in range(59):
        found = patient.verdicts(1.0, PCIE_REPLAY_TOTAL=100 + replays * second // 58)
    assert found["PCIE"][0] == result


def test_a_slow_trickle_of_replays_is_no_trouble_however_seldom_it_is_read(patient: Patient) -> None:
    patient.verdicts(PCIE_REPLAY_TOTAL=0)
    assert patient.verdicts(600, PCIE_REPLAY_TOTAL=80) == {"PCIE": OK}
    assert patient.verdicts(600, PCIE_REPLAY_TOTAL=180) == {"PCIE": (WARN, "DCGM_FR_PCI_REPLAY_RATE")}


def test_a_counter_that_fell_or_a_pause_begins_anew(patient: Patient) -> None:
    patient.verdicts(POWER_VIOLATION=100)
    assert patient.verdicts(POWER_VIOLATION=7) == {}
    assert patient.verdicts(POWER_VIOLATION=7) == {"POWER": OK}
    patient.pause()
    assert patient.verdicts(POWER_VIOLATION=99) == {}


def test_a_gpu_that_is_gone_leaves_what_was_wrong_and_no_claim_of_health(patient: Patient) -> None:
    patient.verdicts(XID_ERROR=79, INFOROM_VALID=1)
    assert patient.last_words() == [("ALL", FAIL, "DCGM_FR_FALLEN_OFF_BUS")]
    patient.verdicts(XID_ERROR=31)
    assert patient.last_words() == []


def test_an_xid_that_follows_does_not_hide_a_worse_one(patient: Patient) -> None:
    assert patient.verdicts(XID_ERROR=154, heard=["79", "154", "other"]) == {"ALL": (FAIL, "DCGM_FR_FALLEN_OFF_BUS")}
    assert patient.last_words() == [("ALL", FAIL, "DCGM_FR_FALLEN_OFF_BUS")]
    assert patient.verdicts(XID_ERROR=45, heard=["45", "94"]) == {"ALL": (WARN, "DCGM_FR_CONTAINED_ERROR")}
    assert patient.verdicts(XID_ERROR=31, heard=["13", "31"]) == {"ALL": OK}


def test_health_is_back_when_the_last_xid_is_0_again(patient: Patient) -> None:
    assert patient.verdicts(XID_ERROR=0, heard=["79", "154"]) == {"ALL": OK}

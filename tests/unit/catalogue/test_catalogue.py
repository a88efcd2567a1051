from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from exporter.catalogue import ANSWERED, CATALOGUE, OWN_SERIES
from exporter.catalogue.convert import attr
from exporter.catalogue.framebuffer import READINGS
from exporter.catalogue.reading import Call, Field
from exporter.catalogue.units import checked
from exporter.catalogue.xids import message
from exporter.counters import parse_counters
from exporter.counters_source import PACKAGED
from exporter.model import Reason, Value
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.failures import Failures
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml
from tests.unit.mock_machines import scenario, started

MIB = 1 << 20
MEMORY = SimpleNamespace(total=1000 * MIB + 7, reserved=200 * MIB + 6, used=300 * MIB + 5, free=499 * MIB + 4)
RATES = SimpleNamespace(gpu=41, memory=23)


def _licences(*states: int, supported: bool = True) -> Any:
    features = [SimpleNamespace(featureState=state) for state in states]
    return SimpleNamespace(
        isGridLicenseSupported=supported, licensableFeaturesCount=len(states), gridLicensableFeatures=features
    )


# What NVML answers, and what DCGM makes of it.
CONVERSIONS: dict[str, tuple[Any, int | float | str]] = {
    "DCGM_FI_SYSTEM_DRIVER_VERSION": ("580.159.04", "580.159.04"),
    "DCGM_FI_SYSTEM_NVML_VERSION": ("13.580.159.04", "13.580.159.04"),
    "DCGM_FI_DEV_SM_CLOCK": (1411, 1411),
    "DCGM_FI_DEV_SM_CLOCK_HERTZ": (1411, 1_411_000_000),
    "DCGM_FI_DEV_MEM_CLOCK": (2619, 2619),
    "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ": (2619, 2_619_000_000),
    "DCGM_FI_DEV_GPU_TEMP_CELSIUS": (61, 61),
    "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS": (53, 53),
    "DCGM_FI_DEV_BOARD_POWER_WATTS": (123_456, 123.456),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": (987_654_321, 987_654_321),
    "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL": (987_654_999, 987_654),
    "DCGM_FI_DEV_PCIE_REPLAY_TOTAL": (7, 7),
    "DCGM_FI_DEV_GPU_UTIL": (RATES, 41),
    "DCGM_FI_DEV_GPU_UTIL_RATIO": (RATES, 0.41),
    "DCGM_FI_DEV_MEM_COPY_UTIL": (RATES, 23),
    "DCGM_FI_DEV_MEMORY_UTIL_RATIO": (RATES, 0.23),
    "DCGM_FI_DEV_ENC_UTIL": ([31, 100_000], 31),
    "DCGM_FI_DEV_ENC_UTIL_RATIO": ([31, 100_000], 0.31),
    "DCGM_FI_DEV_DEC_UTIL": ([42, 100_000], 42),
    "DCGM_FI_DEV_DEC_UTIL_RATIO": ([42, 100_000], 0.42),
    "DCGM_FI_DEV_XID_ERROR": (SimpleNamespace(code=79, listening_since=1.5), 79),
    "DCGM_FI_DEV_FB_TOTAL": (MEMORY, 1000),
    "DCGM_FI_DEV_FB_FREE": (MEMORY, 499),
    "DCGM_FI_DEV_FB_USED": (MEMORY, 300),
    "DCGM_FI_DEV_FB_RESERVED": (MEMORY, 200),
    "DCGM_FI_DEV_FB_USED_RATIO": (SimpleNamespace(total=100, reserved=20, used=30), 0.375),
    "DCGM_FI_DEV_FB_CAPACITY_BYTES": (MEMORY, 1000 * MIB + 7),
    "DCGM_FI_DEV_FB_FREE_BYTES": (MEMORY, 499 * MIB + 4),
    "DCGM_FI_DEV_FB_USED_BYTES": (MEMORY, 300 * MIB + 5),
    "DCGM_FI_DEV_FB_RESERVED_BYTES": (MEMORY, 200 * MIB + 6),
    "DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL": (4, 4),
    "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL": (3, 3),
    "DCGM_FI_DEV_ROW_REMAP_FAILED": (1, 1),
    "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL": (5_678_900.5, 5678),
    "DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND": (5_678_900.5, 5_815_194_112),
    "DCGM_FI_DEV_NVLINK_RX_THROUGHPUT_TOTAL": (3_456_700.0, 3456),
    "DCGM_FI_DEV_NVLINK_TX_THROUGHPUT_TOTAL": (2_222_200.0, 2222),
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS": (_licences(0, 1), 1),
    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO": (51.5, 0.515),
    "DCGM_FI_PROF_TENSOR_UTIL_RATIO": (93.25, 0.9325),
    "DCGM_FI_PROF_DRAM_UTIL_RATIO": (90.75, 0.9075),
    "DCGM_FI_PROF_PCIE_TX_BYTES": (1.5, 1_572_864),
    "DCGM_FI_PROF_PCIE_RX_BYTES": (2.25, 2_359_296),
}


def _field(name: str) -> Field:
    found = [field for reading in CATALOGUE for field in reading.fields if field.name == name]
    assert len(found) == 1, "one reading answers it, and no other"
    return found[0]


def _value(name: str, answer: Any) -> Value | Reason:
    """Return what a field's answer becomes where answers become samples."""
    value = _field(name).convert(answer)
    return value if isinstance(value, Reason) else checked(name, value)


def test_each_field_that_is_answered_has_its_conversion_tested_here() -> None:
    assert set(CONVERSIONS) == ANSWERED


@pytest.mark.parametrize("name", CONVERSIONS)
def test_an_answer_is_converted_to_the_unit_that_dcgm_prints(name: str) -> None:
    answer, expected = CONVERSIONS[name]
    value = _field(name).convert(answer)
    assert value == expected
    assert type(value) is type(expected)


NUMERIC_ANSWERS = sorted(name for name, (answer, _) in CONVERSIONS.items() if isinstance(answer, int | float))


@pytest.mark.parametrize("name", NUMERIC_ANSWERS)
@pytest.mark.parametrize("answer", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_has_no_value(name: str, answer: float) -> None:
    assert _value(name, answer) is Reason.NOT_A_NUMBER


@pytest.mark.parametrize("name", NUMERIC_ANSWERS)
@pytest.mark.parametrize("answer", [0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFF0, 0x7FFFFFFFFFFFFFF2])
def test_what_drivers_write_for_not_available_has_no_value_however_it_is_scaled(name: str, answer: int) -> None:
    assert _value(name, answer) is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("member", ["free", "used", "reserved"])
@pytest.mark.parametrize("answer", [1001 * MIB, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF])
def test_no_part_of_a_memory_is_greater_than_the_memory(member: str, answer: int) -> None:
    members = {"total": 1000 * MIB, "free": 500 * MIB, "used": 400 * MIB, "reserved": 100 * MIB} | {member: answer}
    memory = SimpleNamespace(**members)
    for name in (f"DCGM_FI_DEV_FB_{member.upper()}", f"DCGM_FI_DEV_FB_{member.upper()}_BYTES"):
        assert _field(name).convert(memory) is Reason.OUT_OF_RANGE
    if member != "free":
        assert _field("DCGM_FI_DEV_FB_USED_RATIO").convert(memory) is Reason.OUT_OF_RANGE


def test_no_part_of_a_memory_is_known_where_the_memory_is_not() -> None:
    memory = SimpleNamespace(total=0xFFFFFFFFFFFFFFFF, free=1, used=1, reserved=1)
    assert {_value(field.name, memory) for field in READINGS[0].fields} == {Reason.OUT_OF_RANGE}


def test_memory_that_is_reserved_as_a_whole_has_no_used_ratio() -> None:
    full = SimpleNamespace(total=100, reserved=100, used=0)
    assert _field("DCGM_FI_DEV_FB_USED_RATIO").convert(full) is Reason.NOT_A_NUMBER


@pytest.mark.parametrize("features", [_licences(), _licences(0, 0), _licences(1, supported=False)])
def test_a_gpu_without_any_licensed_feature_has_no_licence(features: Any) -> None:
    assert _field("DCGM_FI_DEV_VGPU_LICENSE_STATUS").convert(features) == 0


def test_an_answer_of_an_unexpected_kind_has_no_value() -> None:
    assert _field("DCGM_FI_DEV_SM_CLOCK").convert(None) is Reason.UNKNOWN


def test_text_in_a_structure_that_is_no_utf_8_is_read_with_its_bad_bytes_replaced() -> None:
    info = pynvml.nvmlPciInfo_t()
    info.busId = b"00000000:\xf8b:00.0"
    assert attr("busId")(info) == "00000000:\ufffdb:00.0"


def test_an_xid_carries_its_code_and_a_text_as_labels() -> None:
    labels = _field("DCGM_FI_DEV_XID_ERROR").labels
    assert labels is not None
    assert labels(SimpleNamespace(code=79)) == (("err_code", "79"), ("err_msg", "GPU has fallen off the bus"))
    assert (message(0), message(5), message(100_000)) == ("No Error", "Unused", "Unknown Error")


@pytest.mark.parametrize("file", ["default-counters.csv", "dcp-metrics-included.csv", "dcgm-4.9-counters.csv"])
def test_every_counter_of_a_packaged_file_is_answered(file: str) -> None:
    parsed = parse_counters((PACKAGED / file).read_text(), file, ANSWERED)
    assert parsed.warnings == ()
    assert len(parsed.counters) >= 26
    assert "DCGM_FI_DEV_FB_TOTAL" in ANSWERED


def test_series_of_our_own_stand_beside_the_catalogue_and_are_never_asked_for() -> None:
    own = {field.name for reading in CATALOGUE for field in reading.fields if field.accompanies}
    assert own == {counter.field for counter in OWN_SERIES}
    assert not own & ANSWERED


def test_every_call_names_a_function_of_nvml() -> None:
    calls = [reading for reading in CATALOGUE if isinstance(reading, Call)]
    functions = {version.function for call in calls for version in call.versions}
    assert [name for name in functions if not callable(getattr(pynvml, name, None))] == []


def _calls_of_two_collections(files: tuple[str, ...]) -> dict[str, int]:
    clock = FakeClock()
    nvml = FaultyNvml(started(scenario("gpus: [{profile: h100-sxm, load: 40, nvlink: true}]"), clock))
    layout = find_layout(Calls(nvml), 0)
    assert isinstance(layout, Layout)
    sampler = Sampler(select({0: layout}, parse_devices("f"))[0], Calls(nvml), clock, 1.0, Failures())
    text = "\n".join((PACKAGED / file).read_text() for file in files) + "\nDCGM_FI_DEV_FB_TOTAL, gauge, In all."
    counters = parse_counters(text, "both", ANSWERED).counters
    nvml.calls.clear()
    sampler.follow(plan({counter.field for counter in counters}, CATALOGUE))
    sampler.collect()
    clock.advance(1)
    snapshot = sampler.collect()
    assert {counter.field for counter in counters} == {sample.field for sample in snapshot.samples} - {
        counter.field for counter in OWN_SERIES
    }
    return dict(nvml.calls)


def test_both_generations_of_names_are_answered_by_the_same_calls() -> None:
    old = _calls_of_two_collections(("default-counters.csv",))
    assert _calls_of_two_collections(("default-counters.csv", "dcgm-4.9-counters.csv")) == old
    assert _calls_of_two_collections(("dcgm-4.9-counters.csv",)) == old
    assert old["nvmlDeviceGetMemoryInfo"] == 2
    assert old["nvmlDeviceGetUtilizationRates"] == 2
    assert old["nvmlSystemGetDriverVersion"] == 1

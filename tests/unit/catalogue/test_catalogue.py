import ctypes
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from exporter.catalogue import ANSWERED, CATALOGUE, OWN_SERIES, busy_seconds
from exporter.catalogue.convert import attr, same
from exporter.catalogue.framebuffer import READINGS
from exporter.catalogue.reading import Call, Field
from exporter.catalogue.units import checked
from exporter.catalogue.xids import message
from exporter.counters import parse_counters
from exporter.counters_source import PACKAGED
from exporter.fields import FIELDS
from exporter.model import Reason, Value
from exporter.nvml.calls import Calls
from exporter.nvml.entities import Layout, find_layout, select
from exporter.sampling.failures import Failures
from exporter.sampling.pace import Pacing
from exporter.sampling.plan import plan
from exporter.sampling.sampler import Sampler
from exporter.settings import BusySource, parse_devices
from tests.unit.fake_clock import FakeClock
from tests.unit.faulty_nvml import FaultyNvml
from tests.unit.mock_machines import scenario, started

MIB = 1 << 20
MEMORY = SimpleNamespace(total=1000 * MIB + 7, reserved=200 * MIB + 6, used=300 * MIB + 5, free=499 * MIB + 4)
RATES = SimpleNamespace(gpu=41, memory=23)
PCI = SimpleNamespace(busId=b"00000000:1b:00.0", pciDeviceId=590352606, pciSubSystemId=381751518)
BAR1 = SimpleNamespace(bar1Total=137_438_953_472, bar1Free=137_437_249_536, bar1Used=1_703_936)
HISTOGRAM = SimpleNamespace(max=2560, high=4, partial=3, low=2, none=1)


def _fabric(**members: int) -> Any:
    info = pynvml.c_nvmlGpuFabricInfo_v3_t()
    info.clusterUuid = (ctypes.c_uint8 * 16)(*range(16))
    info.cliqueId, info.healthMask, info.healthSummary = 7, 21, 1
    for name, value in ({"state": 3, "status": 0} | members).items():
        setattr(info, name, value)
    return info


def _platform() -> Any:
    info = pynvml.c_nvmlPlatformInfo_v2_t()
    raw = bytes.fromhex("3f26f0def26b9c79") + bytes(8) + bytes(15) + bytes([1, 1, 2, 3, 0, 200])
    ctypes.memmove(ctypes.addressof(info) + 4, raw, len(raw))
    return info


FABRIC, PLATFORM = _fabric(), _platform()


def _licences(*states: int, supported: bool = True) -> Any:
    features = [SimpleNamespace(featureState=state) for state in states]
    return SimpleNamespace(
        isGridLicenseSupported=supported, licensableFeaturesCount=len(states), gridLicensableFeatures=features
    )


TALLIES = ("CLOCK_EVENTS_COUNT", "CLOCK_EVENTS_TOTAL", "XID_ERRORS_COUNT", "XID_ERRORS_TOTAL")

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
    "DCGM_FI_DEV_GPU_BRAND": (14, "NVIDIA"),
    "DCGM_FI_DEV_PCI_BUS_ID": (PCI, "00000000:1B:00.0"),
    "DCGM_FI_DEV_PCI_COMBINED_ID": (PCI, 590352606),
    "DCGM_FI_DEV_PCI_SUBSYS_ID": (PCI, 381751518),
    "DCGM_FI_CUDA_GPU_COMPUTE_CAPABILITY": ((9, 0), 589824),  # as dcgm-exporter prints it on an H100
    "DCGM_FI_DEV_MIG_MODE": ([1, 0], 1),
    "DCGM_FI_DEV_CC_MODE": (SimpleNamespace(environment=3, ccFeature=1, devToolsMode=0), 1),
    "DCGM_FI_DEV_GPM_SUPPORT": (SimpleNamespace(version=1, isSupportedDevice=1), 1),
    **{f"DCGM_FI_DEV_CPU_AFFINITY_{word}": ([1, 2, 4, 8], 1 << word) for word in range(4)},
    **{f"DCGM_FI_DEV_MEMORY_AFFINITY_{word}": ([1, 2, 4, 8], 1 << word) for word in range(4)},
    "DCGM_FI_DEV_INFOROM_VALID": (None, 1),
    "DCGM_FI_DEV_VIDEO_CLOCK_HERTZ": (1545, 1_545_000_000),
    "DCGM_FI_DEV_SM_APP_CLOCK_HERTZ": (1980, 1_980_000_000),
    "DCGM_FI_DEV_MEMORY_APP_CLOCK_HERTZ": (2619, 2_619_000_000),
    "DCGM_FI_DEV_SM_MAX_CLOCK_HERTZ": (1980, 1_980_000_000),
    "DCGM_FI_DEV_MEMORY_MAX_CLOCK_HERTZ": (2619, 2_619_000_000),
    "DCGM_FI_DEV_VIDEO_MAX_CLOCK_HERTZ": (1545, 1_545_000_000),
    "DCGM_FI_DEV_CLOCKS_AUTOBOOST_MODE": ([1, 0], 1),
    "DCGM_FI_DEV_FAN_SPEED_RATIO": (33, 0.33),
    "DCGM_FI_DEV_BOARD_POWER_RAW_WATTS": (73_260, 73.26),
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS": (700_000, 700.0),
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_MIN_WATTS": ([200_000, 700_000], 200.0),
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_MAX_WATTS": ([200_000, 700_000], 700.0),
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_DEFAULT_WATTS": (650_000, 650.0),
    "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS": (600_500, 600.5),
    "DCGM_FI_DEV_FABRIC_MANAGER_STATUS": (FABRIC, 3),
    "DCGM_FI_DEV_FABRIC_MANAGER_ERROR": (FABRIC, 0),
    "DCGM_FI_DEV_FABRIC_CLUSTER_UUID": (FABRIC, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    "DCGM_FI_DEV_FABRIC_CLIQUE_ID": (FABRIC, 7),
    "DCGM_FI_DEV_FABRIC_HEALTH_MASK": (FABRIC, 21),
    "DCGM_FI_DEV_FABRIC_HEALTH_SUMMARY": (FABRIC, 1),
    "DCGM_FI_DEV_PLATFORM_INFINIBAND_GUID": (PLATFORM, "3f26f0de-f26b-9c79-0000-000000000000"),
    "DCGM_FI_DEV_PLATFORM_CHASSIS_SERIAL_NUMBER": (PLATFORM, "00000000-0000-0000-0000-000000000001"),
    "DCGM_FI_DEV_PLATFORM_CHASSIS_SLOT_NUMBER": (PLATFORM, 1),
    "DCGM_FI_DEV_PLATFORM_TRAY_INDEX": (PLATFORM, 2),
    "DCGM_FI_DEV_PLATFORM_HOST_ID": (PLATFORM, 3),
    "DCGM_FI_DEV_PLATFORM_PEER_TYPE": (PLATFORM, 0),
    "DCGM_FI_DEV_PLATFORM_MODULE_ID": (PLATFORM, 200),
    "DCGM_FI_DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL": (15_411_095_232, 15.411095232),
    "DCGM_FI_DEV_GPU_THERMAL_THROTTLE_SECONDS_TOTAL": (2_000_000_000, 2.0),
    "DCGM_FI_DEV_BAR1_TOTAL": (BAR1, 131_072),
    "DCGM_FI_DEV_BAR1_USED": (BAR1, 1),
    "DCGM_FI_DEV_BAR1_FREE": (BAR1, 131_070),
    "DCGM_FI_DEV_BAR1_CAPACITY_BYTES": (BAR1, 137_438_953_472),
    "DCGM_FI_DEV_BAR1_USED_BYTES": (BAR1, 1_703_936),
    "DCGM_FI_DEV_BAR1_FREE_BYTES": (BAR1, 137_437_249_536),
    "DCGM_FI_DEV_C2C_MAX_BANDWIDTH_BYTES_PER_SECOND": (450_000, 450_000_000_000),
    "DCGM_FI_DEV_SRAM_EXCEEDED": (SimpleNamespace(aggregateCor=9, bThresholdExceeded=1), 1),
    "DCGM_FI_DEV_BANK_REMAP_AVAIL_MAX": (HISTOGRAM, 2560),
    "DCGM_FI_DEV_BANK_REMAP_AVAIL_HIGH": (HISTOGRAM, 4),
    "DCGM_FI_DEV_BANK_REMAP_AVAIL_PARTIAL": (HISTOGRAM, 3),
    "DCGM_FI_DEV_BANK_REMAP_AVAIL_LOW": (HISTOGRAM, 2),
    "DCGM_FI_DEV_BANK_REMAP_AVAIL_NONE": (HISTOGRAM, 1),
    "DCGM_FI_DEV_PAGE_RETIRED_SBE_TOTAL": ([4096, 8192, 12288], 3),
    "DCGM_FI_DEV_NVLINK_SYMBOL_BER_RATIO": (0x50F, 5e-15),
    "DCGM_FI_DEV_NVLINK_EFFECTIVE_BER_RATIO": (0xF0C, 1.5e-11),
    "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL": (5_678_900.5, 5678),
    "DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND": (5_678_900.5, 5_815_194_112),
    "DCGM_FI_DEV_NVLINK_RX_THROUGHPUT_TOTAL": (3_456_700.0, 3456),
    "DCGM_FI_DEV_NVLINK_TX_THROUGHPUT_TOTAL": (2_222_200.0, 2222),
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS": (_licences(0, 1), 1),
    "DCGM_FI_DEV_NVLINK_P2P_STATUS": ({0: 0, 2: 5, 3: 0}, 0b1001),
    "DCGM_EXP_GPU_HEALTH_STATUS": (SimpleNamespace(watch="MEM", result=20, code="DCGM_FR_FAULTY_MEMORY"), 20),
    **{f"DCGM_EXP_{name}": (SimpleNamespace(what="a", value=7), 7) for name in TALLIES},
    "DCGM_EXP_P2P_STATUS": (SimpleNamespace(peer=2, status=5), 5),
}


_ANSWERING: dict[str, list[Field]] = {}
for _answered in (field for reading in CATALOGUE for field in reading.fields):
    _ANSWERING.setdefault(_answered.name, []).append(_answered)


def _conversion_of_a_kind(name: str) -> tuple[Any, int | float | str]:
    """Return the same for the fields of which there are many alike, and for those that are as NVML has them."""
    if name.startswith("DCGM_FI_PROF_"):
        if name.endswith("_RATIO"):
            return 93.25, 0.9325
        return (1.5, 1_572_864) if "_BYTES" in name and not name.endswith("_TOTAL") else (7.9, 7)
    if name.startswith("DCGM_FI_DEV_NVLINK_") and "THROUGHPUT" in name:
        return (5_678_900.5, 5_815_194_112 if name.endswith("_BYTES_PER_SECOND") else 5678)
    assert _field(name).convert is same, name
    return (7, 7) if FIELDS[name].unit else ("text", "text")


def _field(name: str) -> Field:
    (found,) = _ANSWERING[name]  # one reading answers it, and no other
    return found


def _value(name: str, answer: Any) -> Value | Reason:
    """Return what a field's answer becomes where answers become samples."""
    value = _field(name).convert(answer)
    return value if isinstance(value, Reason) else checked(name, value)


CONVERSIONS |= {name: _conversion_of_a_kind(name) for name in sorted(ANSWERED - CONVERSIONS.keys())}


def test_every_conversion_is_of_a_field_that_is_answered() -> None:
    assert CONVERSIONS.keys() == ANSWERED


def test_an_answer_is_converted_to_the_unit_that_dcgm_prints() -> None:
    found = {name: _field(name).convert(answer) for name, (answer, _) in CONVERSIONS.items()}
    expected = {name: value for name, (_, value) in CONVERSIONS.items()}
    assert found == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items()
    }
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in expected.items()
    }


NUMERIC_ANSWERS = sorted(
    name
    for name, (answer, _) in CONVERSIONS.items()
    if isinstance(answer, int | float) and FIELDS[name].unit not in {"bits", ""}
)


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_has_no_value(answer: float) -> None:
    assert {name: _value(name, answer) for name in NUMERIC_ANSWERS} == dict.fromkeys(
        NUMERIC_ANSWERS, Reason.NOT_A_NUMBER
    )


@pytest.mark.parametrize("answer", [0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFF0, 0x7FFFFFFFFFFFFFF2])
def test_what_drivers_write_for_not_available_has_no_value_however_it_is_scaled(answer: int) -> None:
    assert {name: _value(name, answer) for name in NUMERIC_ANSWERS} == dict.fromkeys(
        NUMERIC_ANSWERS, Reason.OUT_OF_RANGE
    )


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
    own = {field.name for reading in CATALOGUE for field in reading.fields if field.name.startswith("gpu_exporter_")}
    assert own == {counter.field for counter in (*OWN_SERIES, *busy_seconds.series(tuple(BusySource)))}
    assert not own & ANSWERED


def test_at_most_nine_series_of_busy_seconds_are_on_by_default_and_each_counter_has_its_observed_seconds() -> None:
    default = (BusySource.GPU, BusySource.MEMORY, BusySource.PROFILING)
    assert len(list(busy_seconds.series(default))) == 9
    assert list(busy_seconds.series(())) == []
    for source in BusySource:
        names = [counter.name for counter in busy_seconds.SERIES[source]]
        assert all(name.endswith("_seconds_total") for name in names)
        assert sum("observed" in name for name in names) == 1


def test_every_call_names_a_function_of_nvml() -> None:
    calls = [reading for reading in CATALOGUE if isinstance(reading, Call)]
    functions = {version.function for call in calls for version in call.versions}
    assert [name for name in functions if not callable(getattr(pynvml, name, None))] == []


def _calls_of_two_collections(files: tuple[str, ...]) -> dict[str, int]:
    clock = FakeClock()
    nvml = FaultyNvml(started(scenario("gpus: [{profile: h100-sxm, load: 40, nvlink: true}]"), clock))
    layout = find_layout(Calls(nvml), 0)
    assert isinstance(layout, Layout)
    sampler = Sampler(select({0: layout}, parse_devices("f"))[0], Calls(nvml), Pacing(clock, 1.0), Failures())
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


@pytest.mark.parametrize(
    ("state", "status", "expected"), [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3), (3, 10, 4), (27, 0, 5)]
)
def test_fabric_manager_has_dcgms_states(state: int, status: int, expected: int) -> None:
    assert _field("DCGM_FI_DEV_FABRIC_MANAGER_STATUS").convert(_fabric(state=state, status=status)) == expected


@pytest.mark.parametrize("name", ["DCGM_FI_DEV_FABRIC_MANAGER_ERROR", "DCGM_FI_DEV_FABRIC_CLUSTER_UUID"])
def test_what_a_gpu_learns_by_joining_a_fabric_is_not_there_before(name: str) -> None:
    assert _field(name).convert(_fabric(state=2)) is Reason.NO_SAMPLE_YET


def test_structures_of_older_drivers_are_understood() -> None:
    fabric, platform = pynvml.c_nvmlGpuFabricInfo_v2_t(), pynvml.c_nvmlPlatformInfo_v1_t()
    fabric.state, platform.computeSlotIndex = 3, b"\x05"
    assert _field("DCGM_FI_DEV_FABRIC_MANAGER_STATUS").convert(fabric) == 3
    assert _field("DCGM_FI_DEV_FABRIC_HEALTH_SUMMARY").convert(fabric) is Reason.NOT_SUPPORTED
    assert _field("DCGM_FI_DEV_PLATFORM_TRAY_INDEX").convert(platform) == 5


def test_an_inforom_that_is_corrupted_is_not_valid() -> None:
    nvml = started(scenario("gpus: [{profile: h100-sxm, values: {inforom_valid: 0}}]"), FakeClock())
    reading = next(reading for reading in CATALOGUE if reading.fields[0].name == "DCGM_FI_DEV_INFOROM_VALID")
    assert isinstance(reading, Call)
    answer = Calls(nvml)(reading.function, nvml.nvmlDeviceGetHandleByIndex(0), errors=reading.errors)
    assert reading.fields[0].convert(answer) == 0

import ctypes
import time
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from exporter.catalogue.reading import Version
from exporter.model import Reason
from exporter.nvml.calls import Calls, Ledger
from tests.unit.faulty_nvml import failing

ENERGY = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, Reason.NOT_SUPPORTED),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, Reason.NOT_SUPPORTED),
        (pynvml.NVML_ERROR_INVALID_ARGUMENT, Reason.NOT_SUPPORTED),
        (pynvml.NVML_ERROR_NO_PERMISSION, Reason.NOT_PERMITTED),
        (pynvml.NVML_ERROR_NOT_FOUND, Reason.NO_SAMPLE_YET),
        (pynvml.NVML_ERROR_TIMEOUT, Reason.TIMEOUT),
        (pynvml.NVML_ERROR_GPU_IS_LOST, Reason.GPU_LOST),
        (pynvml.NVML_ERROR_RESET_REQUIRED, Reason.GPU_LOST),
        (pynvml.NVML_ERROR_UNINITIALIZED, Reason.DRIVER_GONE),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, Reason.DRIVER_GONE),
        (pynvml.NVML_ERROR_UNKNOWN, Reason.UNKNOWN),
        (987_654, Reason.UNKNOWN),
    ],
)
def test_what_the_driver_refuses_becomes_a_reason_and_never_an_exception(code: int, reason: Reason) -> None:
    assert Calls(SimpleNamespace(nvmlDeviceGetCount=failing(code)))("nvmlDeviceGetCount") is reason


BAD_NAME = b"\xf8\x95\xa0\x81NVIDIA A100\xff"


def test_text_that_is_no_utf_8_is_read_with_its_bad_bytes_replaced() -> None:
    """Drivers 555.85 and 555.99 answer such names; pynvml raises what bytes.decode raises."""
    calls = Calls(SimpleNamespace(nvmlDeviceGetName=lambda _: BAD_NAME.decode()))
    assert calls("nvmlDeviceGetName", "handle") == "\ufffd\ufffd\ufffd\ufffdNVIDIA A100\ufffd"


@pytest.mark.parametrize(
    "error", [AttributeError, TypeError, ValueError, OSError, RuntimeError, ctypes.ArgumentError, KeyError]
)
def test_whatever_the_binding_raises_is_a_reason(error: type[Exception]) -> None:
    def raising(*_: object) -> None:
        raise error

    calls = Calls(SimpleNamespace(nvmlDeviceGetCount=raising))
    assert calls("nvmlDeviceGetCount") is Reason.UNREADABLE
    assert calls.count == 1


def test_a_function_that_the_binding_lacks_is_not_supported() -> None:
    assert Calls(SimpleNamespace())("nvmlDeviceGetWhatNoBindingHas") is Reason.NOT_SUPPORTED


VERSIONS = (Version("nvmlDeviceGetThing_v2"), Version("nvmlDeviceGetThing", (2,)), Version("nvmlDeviceGetThing"))


def test_the_newest_version_that_a_library_has_is_called_and_remembered() -> None:
    """This one knows version 1 alone: it lacks one newer function, and refuses the newer structure of another."""
    asked: list[tuple[Any, ...]] = []

    def version_1(*args: Any) -> Any:
        asked.append(args)
        return "version 1" if args == ("handle",) else failing(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)()

    version_2 = failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    calls = Calls(SimpleNamespace(nvmlDeviceGetThing_v2=version_2, nvmlDeviceGetThing=version_1))
    for _ in range(3):
        assert calls.newest(VERSIONS, "handle") == "version 1"
    assert asked == [("handle", 2), ("handle",), ("handle",), ("handle",)]
    assert calls.count == 5


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST]
)
def test_a_failure_of_the_newest_version_is_no_reason_to_call_an_older_one(code: int) -> None:
    library = SimpleNamespace(nvmlDeviceGetThing_v2=failing(code), nvmlDeviceGetThing=lambda *_: "version 1")
    calls = Calls(library)
    assert isinstance(calls.newest(VERSIONS, "handle"), Reason)
    library.nvmlDeviceGetThing_v2 = lambda *_: "version 2"
    assert calls.newest(VERSIONS, "handle") == "version 2"


def test_a_library_that_has_no_version_does_not_support_it() -> None:
    assert Calls(SimpleNamespace()).newest(VERSIONS, "handle") is Reason.NOT_SUPPORTED


def test_calls_pass_arguments_on_and_are_counted_with_their_time() -> None:
    calls = Calls(SimpleNamespace(nvmlDeviceGetName=lambda *args: args, nvmlDeviceGetUUID=failing(1)))
    assert calls("nvmlDeviceGetName", "handle", 7) == ("handle", 7)
    spent_s = calls.spent_s
    assert spent_s > 0
    calls("nvmlDeviceGetUUID", "handle")
    assert calls.count == 2
    assert calls.spent_s > spent_s


def _answer(value_type: int = 0, code: int = 0, member: str = "ullVal", value: float = 0) -> Any:
    answer = pynvml.c_nvmlFieldValue_t()
    answer.valueType, answer.nvmlReturn, answer.timestamp = value_type, code, 1234
    setattr(answer.value, member, value)
    return answer


def test_field_values_come_with_the_drivers_time_or_share_one_reason() -> None:
    answers = [
        _answer(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, member="uiVal", value=3),
        _answer(code=pynvml.NVML_ERROR_NOT_SUPPORTED),
    ]
    calls = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=lambda *_: answers))
    assert calls.field_values("handle", ((1, 0), (2, 0))) == [(3, 1234), (Reason.NOT_SUPPORTED, 1234)]
    lost = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=failing(pynvml.NVML_ERROR_GPU_IS_LOST)))
    assert lost.field_values("handle", ((1, 0), (2, 0))) is Reason.GPU_LOST


def test_a_call_that_is_refused_for_one_field_value_is_made_for_each_alone() -> None:
    def refusing(_handle: object, ids: tuple[tuple[int, int], ...]) -> list[SimpleNamespace]:
        if any(field_id == 9999 for field_id, _ in ids):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return [
            SimpleNamespace(
                nvmlReturn=0,
                valueType=pynvml.NVML_VALUE_TYPE_UNSIGNED_INT,
                value=SimpleNamespace(uiVal=field_id),
                timestamp=5,
                latencyUsec=0,
            )
            for field_id, _ in ids
        ]

    answers = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=refusing)).field_values("gpu", ((7, 0), (9999, 0)))
    assert answers == [(7, 5), (Reason.NOT_SUPPORTED, 0)]


def test_a_driver_that_reads_on_behind_links_finds_an_entry_that_ends_it() -> None:
    """As 580.159.04 does on GPUs with NVLink: it takes what lies behind the array for more of its links' counters."""
    of_links = {pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX}
    spoilt = []

    def reading_on(_handle: object, ids: tuple[tuple[int, int], ...]) -> list[Any]:
        if ids[-1][0] in of_links:
            spoilt.append(ids)
        return [_answer(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, member="uiVal", value=scope) for _, scope in ids]

    calls = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=reading_on))
    wanted = tuple((field_id, link) for field_id in of_links for link in range(3))
    assert calls.field_values("gpu", wanted) == [(scope, 1234) for _, scope in wanted]
    assert calls.field_values("gpu", wanted[:1]) == [(0, 1234)]
    assert spoilt == []


def test_what_the_driver_leaves_untouched_among_many_is_asked_for_again_and_is_no_0() -> None:
    """As an H200 does with power smoothing: success, type 0, time 0; asked alone it says that it supports none."""
    never, of_few, alone = (251, 0), (252, 0), (253, 0)
    untouched = {never: 0, of_few: 2, alone: 1}
    asked: list[int] = []

    def answering(_handle: object, ids: tuple[tuple[int, int], ...]) -> list[Any]:
        asked.append(len(ids))
        return [
            pynvml.c_nvmlFieldValue_t()
            if len(ids) > untouched.get(one, 9)
            else _answer(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, member="uiVal", value=one[0])
            for one in ids
        ]

    calls = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=answering))
    answers = calls.field_values("gpu", ((7, 0), never, of_few, alone))
    assert answers == [(7, 1234), (Reason.NOT_SUPPORTED, 0), (252, 1234), (253, 1234)]
    assert max(asked[1:]) < asked[0]


def test_what_calls_and_field_values_cost_is_noted_by_nvmls_names() -> None:
    def slow_energy(_handle: object, ids: tuple[tuple[int, int], ...]) -> list[SimpleNamespace]:
        time.sleep(0.02)
        return [
            SimpleNamespace(nvmlReturn=3, timestamp=0, latencyUsec=3000 if field_id == ENERGY else 0)
            for field_id, _ in ids
        ]

    ledger = Ledger()
    calls = Calls(SimpleNamespace(nvmlDeviceGetFieldValues=slow_energy, nvmlDeviceGetName=lambda: "a"), ledger)
    for _ in range(2):
        calls("nvmlDeviceGetName")
    calls.field_values("gpu", ((ENERGY, 0), (pynvml.NVML_FI_DEV_MEMORY_TEMP, 0)))
    spent = ledger.totals()
    assert {name: total.times for name, total in spent.items()} == {
        "nvmlDeviceGetName": 2,
        "NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION": 1,
        "NVML_FI_DEV_MEMORY_TEMP": 1,
    }
    energy, memory = (spent[f"NVML_FI_DEV_{name}"].seconds for name in ("TOTAL_ENERGY_CONSUMPTION", "MEMORY_TEMP"))
    assert energy > 1000 * memory > 0
    assert sum(total.seconds for total in spent.values()) == pytest.approx(calls.spent_s)

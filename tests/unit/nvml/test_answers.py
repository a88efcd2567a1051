from typing import Any

import pynvml
import pytest

from exporter.model import Reason
from exporter.nvml.answers import field_value


def _answer(value_type: int = 0, code: int = 0, member: str = "ullVal", value: float = 0) -> Any:
    answer = pynvml.c_nvmlFieldValue_t()
    answer.valueType, answer.nvmlReturn, answer.timestamp = value_type, code, 1234
    setattr(answer.value, member, value)
    return answer


@pytest.mark.parametrize(
    ("value_type", "member", "value"),
    [
        (pynvml.NVML_VALUE_TYPE_DOUBLE, "dVal", 1.5),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, "uiVal", 4_000_000_000),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, "ulVal", 2**40),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, "ullVal", 2**63),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, "sllVal", -(2**40)),
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, "siVal", -5),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, "usVal", 65_535),
    ],
)
def test_a_field_value_is_read_as_the_type_that_it_says(value_type: int, member: str, value: float) -> None:
    assert field_value(_answer(value_type, member=member, value=value)) == value


def test_a_field_value_that_failed_or_has_an_unknown_type_is_a_reason() -> None:
    assert field_value(_answer(code=pynvml.NVML_ERROR_NOT_SUPPORTED)) is Reason.NOT_SUPPORTED
    assert field_value(_answer(code=987_654)) is Reason.UNKNOWN
    assert field_value(_answer(value_type=99)) is Reason.UNKNOWN


@pytest.mark.parametrize(
    ("value_type", "member", "value", "reason"),
    [
        (pynvml.NVML_VALUE_TYPE_DOUBLE, "dVal", float("nan"), Reason.NOT_A_NUMBER),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, "uiVal", 0xFFFFFFFF, Reason.OUT_OF_RANGE),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, "ullVal", 0xFFFFFFFFFFFFFFFF, Reason.OUT_OF_RANGE),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, "sllVal", 0x7FFFFFFFFFFFFFF2, Reason.OUT_OF_RANGE),
    ],
)
def test_a_field_value_that_holds_no_number_is_a_reason(
    value_type: int, member: str, value: float, reason: Reason
) -> None:
    assert field_value(_answer(value_type, member=member, value=value)) is reason

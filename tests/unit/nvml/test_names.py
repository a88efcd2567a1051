from exporter.catalogue import CATALOGUE
from exporter.catalogue.reading import Reading, Tracked
from exporter.nvml.names import names_of


def reading_of(field: str) -> Reading:
    return next(reading for reading in CATALOGUE if any(one.name == field for one in reading.fields))


def test_a_call_has_the_name_of_its_function_and_a_field_value_its_own() -> None:
    assert names_of(reading_of("DCGM_FI_DEV_SM_CLOCK")) == ("nvmlDeviceGetClockInfo",)
    assert names_of(reading_of("DCGM_FI_DEV_MEMORY_TEMP_CELSIUS")) == ("NVML_FI_DEV_MEMORY_TEMP",)
    assert names_of(reading_of("DCGM_FI_PROF_SM_UTIL_RATIO"))[0] == "nvmlGpmMetricsGet"
    assert names_of(reading_of("DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL")) == (
        "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX",
        "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX",
    )


def test_every_reading_has_a_name_but_those_that_are_made_of_others() -> None:
    made = [one for one in CATALOGUE if isinstance(one, Tracked) and one.inputs]
    assert [one.fields[0].name for one in CATALOGUE if one not in made and not names_of(one)] == []

"""One row per GPU and MIG instance, whatever the names and labels of a page."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Holder
from exporter.scraping import parse_page
from exporter.view.overview import MIB, EntityRow, Overview, RowKey, Seconds, overview

CLASSIC = """\
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="node-1",namespace="",pod=""} 42
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="node-1",namespace="",pod=""} 10
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="node-1",namespace="",pod=""} 30
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="node-1",namespace="",pod=""} 1980
gpu_exporter_build_info{source="mock",version="1.2.3"} 1
"""
NEW_NAMES = """\
DCGM_FI_DEV_GPU_UTIL_RATIO{gpu="0",gpu_uuid="GPU-a",model_name="NVIDIA H200",hostname="node-1"} 0.42
DCGM_FI_DEV_FB_USED_BYTES{gpu="0",gpu_uuid="GPU-a",model_name="NVIDIA H200",hostname="node-1"} 10485760
DCGM_FI_DEV_FB_FREE_BYTES{gpu="0",gpu_uuid="GPU-a",model_name="NVIDIA H200",hostname="node-1"} 31457280
DCGM_FI_DEV_SM_CLOCK_HERTZ{gpu="0",gpu_uuid="GPU-a",model_name="NVIDIA H200",hostname="node-1"} 1.98e9
gpu_exporter_build_info{source="mock",version="1.2.3"} 1
"""


def seen(page: str) -> Overview:
    return overview(parse_page(page))


def only_row(page: str) -> EntityRow:
    [row] = seen(page).rows
    return row


def test_both_generations_of_names_and_labels_give_the_same_row() -> None:
    assert seen(CLASSIC) == seen(NEW_NAMES)
    row = only_row(CLASSIC)
    assert (row.utilization, row.memory_used, row.memory_total, row.sm_clock) == (42, 10 * MIB, 40 * MIB, 1.98e9)
    assert (row.gpu, row.model, row.power, row.seconds) == ("0", "NVIDIA H200", None, None)
    assert (seen(CLASSIC).host, seen(CLASSIC).version, seen(CLASSIC).source) == ("node-1", "1.2.3", "mock")


def test_a_shared_gpu_is_one_row_with_all_its_holders_and_the_devices_own_value() -> None:
    row = only_row(
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",container="c",namespace="n",pod="one"} 20\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",container="c",namespace="n",pod="two"} 30\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",container="",namespace="",pod=""} 50\n'
    )
    assert row.holders == (Holder("n", "one", "c"), Holder("n", "two", "c"))
    assert row.utilization == 50


def test_mig_instances_are_rows_of_their_own_with_the_graphics_engines_seconds() -> None:
    page = "".join(
        f'{name}{{gpu="10",UUID="GPU-a",GPU_I_PROFILE="1g.10gb",GPU_I_ID="{number}"}} {value}\n'
        for number in (13, 7)
        for name, value in (
            ("gpu_exporter_graphics_active_seconds_total", 3),
            ("gpu_exporter_profiling_observed_seconds_total", 4),
        )
    )
    rows = seen(page + 'DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-b"} 1\n').rows
    assert [row.key for row in rows] == [RowKey("GPU-b", ""), RowKey("GPU-a", "7"), RowKey("GPU-a", "13")]
    assert rows[1].seconds == Seconds(3, 4)
    assert rows[1].profile == "1g.10gb"


def test_trouble_is_told_xids_health_clocks_and_owners_that_are_not_known() -> None:
    row = only_row(
        'DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-a",err_code="79",err_msg="GPU has fallen off the bus"} 79\n'
        'DCGM_EXP_GPU_HEALTH_STATUS{gpu="0",UUID="GPU-a",health_error_code="DCGM_FR_OK",health_watch="PCIE"} 0\n'
        'DCGM_EXP_GPU_HEALTH_STATUS{gpu="0",UUID="GPU-a",health_error_code="DCGM_FR_X",health_watch="MEM"} 20\n'
        'DCGM_EXP_GPU_HEALTH_STATUS{gpu="0",UUID="GPU-a",health_error_code="DCGM_FR_Y",health_watch="POWER"} 10\n'
        'DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{gpu="0",UUID="GPU-a"} 5\n'
        'gpu_exporter_owner_info{gpu="0",UUID="GPU-a",pod="",reason="kubelet_unreachable",source="none"} 1\n'
    )
    assert row.xid == "79 GPU has fallen off the bus"
    assert (row.failing, row.warning) == (("MEM: DCGM_FR_X",), ("POWER: DCGM_FR_Y",))
    assert row.clocks_held_by == ("power_cap",)  # that it is idle is no trouble
    assert row.unowned == "kubelet_unreachable"


def test_a_gpu_that_is_not_read_is_a_row_even_if_nothing_else_is_known_of_it() -> None:
    rows = seen('gpu_exporter_gpu_up{gpu="0"} 0\ngpu_exporter_gpu_up{gpu="1"} 1\n' + CLASSIC.replace('"0"', '"1"')).rows
    assert [(row.gpu, row.is_read) for row in rows] == [("0", False), ("1", True)]


def test_numbers_that_are_none_are_no_values() -> None:
    assert (
        seen('DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{UUID="GPU-a"} +Inf\nDCGM_FI_DEV_GPU_UTIL{UUID="GPU-a"} NaN\n').rows
        == ()
    )


@given(
    st.lists(
        st.sampled_from([*CLASSIC.split("\n"), *NEW_NAMES.split("\n")]).flatmap(lambda line: st.text() | st.just(line))
    )
)
def test_whatever_a_page_says_an_overview_comes_of_it(lines: list[str]) -> None:
    assert seen("\n".join(lines)) is not None


def test_a_number_of_any_length_is_a_name() -> None:
    for number in ("9" * 5000, "\u0663", "\u00b2", ""):
        assert only_row(CLASSIC.replace('gpu="0"', f'gpu="{number}"')).gpu == number

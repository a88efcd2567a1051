"""The hosts that come with the package: what was recorded between their GPUs is printed again."""

from exporter.counters import Counter, MetricType
from exporter.fields import FIELDS
from exporter.mock import load_scenario
from tests.golden.memory_scrape import Setup, counters_of, scrape
from tests.golden.series import read_series

MIB = 1_024_000
PATHS = Counter("DCGM_EXP_P2P_STATUS", "DCGM_EXP_P2P_STATUS", FIELDS["DCGM_EXP_P2P_STATUS"].id, MetricType.GAUGE, "P.")
SETUP = Setup(counters=(*counters_of("default-counters.csv"), PATHS))
TRAFFIC = "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"
IDLE_S, ONE_WAY_S, BOTH_WAYS_S = 10, 31, 47


def gigabytes(at_s: float) -> list[int]:
    """Return what the NVLinks of each H200 of the pair carried in a second, to 10 GB."""
    page = read_series(scrape(load_scenario("h200-pair"), at_s, SETUP))
    return [round(float(one.value) * MIB / 1e10) * 10 for one in page if one.name == TRAFFIC]


def test_two_recorded_h200s_are_idle_then_copy_one_way_then_both_ways() -> None:
    assert [gigabytes(at_s) for at_s in (IDLE_S, ONE_WAY_S, BOTH_WAYS_S)] == [[0, 0], [390, 390], [770, 770]]


def test_each_recorded_h200_reaches_the_other_by_nvlink() -> None:
    page = read_series(scrape(load_scenario("h200-pair"), 1, SETUP))
    paths = {
        (one.labels["gpu"], one.labels["peer_gpu"], one.labels["link_status"]) for one in page if one.name == PATHS.name
    }
    assert paths == {("0", "1", "OK"), ("1", "0", "OK")}

"""True load from one look to the next, and nothing made up in between."""

import pytest

from exporter.scraping import parse_page
from exporter.view.overview import RowKey, overview
from exporter.view.true_load import KEPT, LoadHistory

KEY = RowKey("GPU-a", "")


def history_of(*counters: tuple[float, float] | None) -> tuple[float, ...]:
    history = LoadHistory()
    for pair in counters:
        page = ""
        if pair is not None:
            busy, observed = pair
            page = (
                f'gpu_exporter_busy_seconds_total{{gpu="0",UUID="GPU-a"}} {busy}\n'
                f'gpu_exporter_observed_seconds_total{{gpu="0",UUID="GPU-a"}} {observed}\n'
            )
        history.look(overview(parse_page(page)))
    return history.of(KEY)


def test_load_is_the_share_of_the_observed_time_between_two_looks() -> None:
    assert history_of((10, 100), (11, 102), (11, 104)) == (50, 0)


@pytest.mark.parametrize(
    "counters",
    [
        ((10, 100),),
        ((10, 100), (10, 100)),  # nothing was observed
        ((10, 100), (0, 1)),  # a restart
        ((10, 100), None, (11, 102)),  # a GPU that was away
    ],
)
def test_nothing_is_made_up_of(counters: tuple[tuple[float, float] | None, ...]) -> None:
    assert history_of(*counters) == ()


def test_only_a_short_history_is_kept() -> None:
    looks = [(float(second), float(2 * second)) for second in range(2 * KEPT)]
    assert history_of(*looks) == (50,) * KEPT

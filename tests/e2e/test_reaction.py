"""The reaction time: a rise as it is measured, and the page that tells of many."""

import dataclasses
from pathlib import Path

import pytest

from tests.e2e.cases import Table
from tests.e2e.cluster import Cluster
from tests.e2e.reaction_page import HOPS, Measured, Setting, histogram, written_into
from tests.e2e.rises import Lane, Rise

GUIDE = Setting("guide", collection_s=30, scrape_s=15, relist_s=60, is_instant=True)
FASTER = Setting("faster", collection_s=1, scrape_s=15, relist_s=5, signal_s=2)
PAGE = "before\n<!-- measured: made by `make reaction` -->\nold\n<!-- end of measured -->\nafter\n"


def rise(*, scaled_s: float) -> Rise:
    return Rise(1.0, scaled_s / 4, scaled_s / 2, scaled_s / 2 + 1, scaled_s, scaled_s + 0.5, 2)


def measured(setting: Setting, *scaled_s: float) -> Measured:
    return Measured(setting, "2026-11-24", "a machine", 1, [rise(scaled_s=one) for one in scaled_s])


@pytest.mark.full
def test_rise_is_scraped_before_the_adapter_answers_with_it(cluster: Cluster, table: Table) -> None:
    lane = Lane(cluster, "gpu0", "team-a", "seed")
    found = lane.rise()
    lane.clear()
    assert found.shown_s > 0
    assert found.scraped_s <= found.answered_s
    table.is_("reaction: replicas after the first step", "2", str(found.replicas))


def test_page_tells_medians_and_the_part_of_the_guides_time() -> None:
    page = written_into(PAGE, [measured(GUIDE, 20, 40, 60), measured(FASTER, 8, 10, 12)])
    rows = [line for line in page.splitlines() if line.startswith("| ") and "every" in line]
    assert [row.split(" | ")[1:] for row in rows] == [
        ["10.0", "10.0", "1.0", "19.0", "**40.0**", "20.0 to 60.0", "60.0", "30.0", "100%", "+0.5 |"],
        ["2.5", "2.5", "1.0", "4.0", "**10.0**", "8.0 to 12.0", "12.0", "10.1", "25%", "+0.5 |"],
    ]


def test_page_keeps_what_stands_around_the_marks() -> None:
    page = written_into(PAGE, [measured(GUIDE, 20, 40)])
    assert page.startswith("before\n<!--")
    assert page.endswith("-->\nafter\n")
    assert "old" not in page


def test_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!-- measured"):
        written_into("before", [measured(GUIDE, 20, 40)])


def test_histogram_has_a_block_for_each_rise() -> None:
    assert list(histogram([0.1, 4.9, 5.0, 16])) == [
        "  0 to   5 s ██",
        "  5 to  10 s █",
        " 10 to  15 s",
        " 15 to  20 s █",
    ]


def test_parts_add_up_to_the_whole() -> None:
    one = rise(scaled_s=30)
    assert sum(hop(one) for hop in HOPS.values()) == one.scaled_s


def test_file_gives_back_what_was_written_and_nothing_of_another_setting(tmp_path: Path) -> None:
    file = tmp_path / "guide.json"
    found = measured(GUIDE, 20, 40)
    found.write(file)
    assert Measured.read(GUIDE, file) == found
    with pytest.raises(ValueError, match="was measured with"):
        Measured.read(dataclasses.replace(GUIDE, scrape_s=20), file)

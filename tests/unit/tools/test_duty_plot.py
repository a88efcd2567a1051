from xml.etree import ElementTree as ET

from tools.duty_plot import PLOT, TABLE, drawn, loads

NAMESPACE = "{http://www.w3.org/2000/svg}"
ROW = "| 37 %, 0.7 s | 36.94 | 36.63 | 36.55 | 36.55 | no pair | 36.55 | 36.99 | 0 to 100; 83 to 100 |"


def test_plot_is_that_of_the_table() -> None:
    page = TABLE.read_text(encoding="utf-8")
    assert PLOT.name in page
    assert PLOT.read_text(encoding="utf-8") == drawn(list(loads(page))), "run `make docs`"


def test_each_load_has_its_truth_its_means_and_two_ranges() -> None:
    [load] = loads(f"| load | true |\n|---|---|\n{ROW}\n")
    assert load.means == (36.63, 36.55, 36.55, 36.55)
    assert (load.true, load.often, load.seldom) == (36.94, (0, 100), (83, 100))
    plot = ET.fromstring(drawn([load]))  # noqa: S314 - our own text
    legend = 1
    for kind, tag, count in (("mean", "circle", 4), ("truth", "path", 1), ("often", "rect", 1), ("seldom", "rect", 1)):
        assert len(plot.findall(f"{NAMESPACE}{tag}[@class='{kind}']")) == legend + count

"""The table of `top`, in terminals of different widths."""

import io

import pytest
from rich.console import Console

from exporter.scraping import parse_page
from exporter.top.table import SPARKS, table
from exporter.view.overview import overview
from exporter.view.true_load import LoadHistory

PAGE = """\
DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",namespace="chat",pod="{pod}"}} 42
DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",namespace="chat",pod="{pod}"}} 512.4
DCGM_FI_DEV_XID_ERRORS{{gpu="0",UUID="GPU-a",err_msg="GPU memory page fault",namespace="chat",pod="{pod}"}} 31
gpu_exporter_busy_seconds_total{{gpu="0",UUID="GPU-a",namespace="chat",pod="{pod}"}} {busy}
gpu_exporter_observed_seconds_total{{gpu="0",UUID="GPU-a",namespace="chat",pod="{pod}"}} {observed}
gpu_exporter_gpu_up{{gpu="1"}} 0
"""


def drawn(width: int, pod: str = "llama-0") -> str:
    history = LoadHistory()
    for second in range(3):
        seen = overview(parse_page(PAGE.format(pod=pod, busy=0.7 * second, observed=second)))
        history.look(seen)
    paper = io.StringIO()
    Console(file=paper, width=width, color_system=None).print(table(seen, history, width))
    return paper.getvalue()


@pytest.mark.parametrize(
    ("width", "there", "not_there"),
    [
        (200, ("H200", "chat/llama-0", "70%", "512 W", "Xid 31 GPU memory page fault", "not read"), ()),
        (80, ("chat/llama-0", "70%", "512 W", "Xid 31"), ("H200",)),
        (40, ("chat/llama-0", "70%"), ("512 W", "Xid")),
    ],
)
def test_a_width_has_the_columns_that_fit(width: int, there: tuple[str, ...], not_there: tuple[str, ...]) -> None:
    text = drawn(width)
    assert all(part in text for part in there), text
    assert not any(part in text for part in not_there), text
    assert max(map(len, text.splitlines())) <= width


def test_the_history_is_drawn() -> None:
    assert SPARKS[5] * 2 in drawn(80)


def test_no_name_of_a_pod_steers_the_terminal() -> None:
    text = drawn(80, pod="\x1b[2J[red]x\u202e")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "?[2J[red]x?" in text

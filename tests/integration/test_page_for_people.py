"""The page at / as Chromium shows it: the holders of each GPU by text, and nothing that a browser complains of."""

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.integration.program import Start

CHROMIUM = shutil.which("chromium")
HOLDERS = {
    "GPU 1": "chat/llama-70b-6d8f9c7b5-kq2xw",
    "GPU 2": "search/reranker-58f7d6c9b4-m4s8t",
    "GPU 3": "chat/llama-405b-0",
    "GPU 0": "nobody",
}


def test_chromium_shows_who_holds_each_gpu_without_an_error(start: Start, tmp_path: Path) -> None:
    if CHROMIUM is None:
        assert os.environ.get("REQUIRE_ALL_TOOLS") != "1", "apt-get install chromium"
        pytest.skip("no chromium on the PATH")
    program = start("--mock")
    program.until(lambda: program.get("/ready")[0] == 200)
    [address] = set(re.findall(r"serving (http://\S+)/metrics", program.log()))
    options = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/c",
    )
    done = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", f"{address}/"], capture_output=True, text=True, timeout=120, check=True
    )
    rows = [unescape(re.sub(r"<[^>]+>", " ", row)) for row in re.findall(r"<tr>(.*?)</tr>", done.stdout, re.DOTALL)]
    for gpu, holder in HOLDERS.items():
        assert any(re.search(rf"{gpu}\b", row) and holder in row for row in rows), done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr

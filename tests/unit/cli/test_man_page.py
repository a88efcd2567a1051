"""The manual page: all flags and commands, and nothing that roff takes for a request."""

import re

from exporter.cli.commands import COMMANDS
from exporter.cli.flag_table import FLAGS
from exporter.cli.man_page import man_page

REQUESTS = {"TH", "SH", "TP", "B", "br"}


def test_the_page_has_every_flag_and_every_command() -> None:
    page = man_page().replace("\\-", "-")
    for flag in FLAGS:
        assert f"--{flag.name}" in page
        assert not flag.variable or f"Variable: {flag.variable}\n" in page
    for command in COMMANDS:
        assert f".B {command.name}\n" in page


def test_no_text_of_ours_is_a_request() -> None:
    lines = man_page().splitlines()
    assert {line[1:].split()[0] for line in lines if line.startswith((".", "'"))} <= REQUESTS
    assert not re.search(r"\\(?![efB&-])", man_page().replace("\\fI", ""))

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli.logs import wanted_format
from exporter.settings import LogFormat

ROOT = Path(__file__).parents[3]
UNEXPECTED = {
    "an exception": "raise ValueError('x\\ny')",
    "one in a thread": "t = threading.Thread(target=lambda: 1 / 0, name='t'); t.start(); t.join()",
    "one where none can be raised": "type('T', (), {'__del__': lambda self: 1 / 0})()",
    "a warning": "warnings.warn('x\\ny')",
    "a record that fits its arguments not": "logging.getLogger('a').info('%d', 'x')",
    "one whose argument can't be shown": "logging.getLogger('a').info('%s', type('T', (), {'__str__': lambda _: 1})())",
    "a traceback in a record": "try:\n  1 / 0\nexcept ArithmeticError:\n  logging.getLogger('a').exception('x\\ny')",
}


def lines_of(statement: str, form: str) -> list[str]:
    program = (
        "import logging, threading, warnings\n"
        "from exporter.cli.logs import configure_logging\n"
        "from exporter.settings import LogFormat\n"
        f"configure_logging(LogFormat.{form}, debug=False)\n{statement}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize("statement", UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_what_nobody_expected_is_one_line_of_json(statement: str) -> None:
    (line,) = map(json.loads, lines_of(statement, "JSON"))
    assert {"time", "level", "msg", "logger"} <= line.keys()


@pytest.mark.parametrize("statement", UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_what_nobody_expected_has_its_time_in_text(statement: str) -> None:
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ (INFO|WARNING|ERROR|CRITICAL) ", lines_of(statement, "TEXT")[0])


def test_a_name_can_neither_forge_a_line_of_text_nor_talk_to_a_terminal() -> None:
    (line,) = lines_of(r"logging.getLogger('a').info('GPU %s', 'H100\n2026 ERROR \x1b[31m\u2028 é')", "TEXT")
    assert line.endswith(r" INFO GPU H100\n2026 ERROR \x1b[31m\u2028 é")


@pytest.mark.parametrize(
    ("arguments", "variable", "form"),
    [
        ([], "", LogFormat.TEXT),
        ([], "json", LogFormat.JSON),
        (["--log-format=json"], "", LogFormat.JSON),
        (["-k", "-log-format", "json", "--nonsense"], "", LogFormat.JSON),
        (["--log-format=json", "--log-format", "text"], "json", LogFormat.TEXT),
        (["--log-format"], "json", LogFormat.TEXT),
        (["--log-format=yaml"], "", LogFormat.TEXT),
    ],
)
def test_the_format_is_known_before_the_flags_are_understood(
    arguments: list[str], variable: str, form: LogFormat
) -> None:
    assert wanted_format(arguments, {"DCGM_EXPORTER_LOG_FORMAT": variable}) is form

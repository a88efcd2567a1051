import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.doctor.finding import Examined, Finding, Mark, Subject, broken, holds, unseen
from exporter.doctor.report import Screen, as_json, exit_code, lines, screen_of, summary

WIDE = Screen(100, "utf-8", has_colours=False)
GOOD = Examined(Subject.NODE, "driver", holds("driver 580.159.04, NVML answers"))
BAD = Examined(Subject.SCALING, "adapter", broken("nobody serves custom.metrics.k8s.io", "Install this chart."))
DARK = Examined(Subject.CLUSTER, "api", unseen("no kubeconfig", "Name one."))
FAR = Examined(Subject.KUBELET, "socket", unseen("no exporter belongs on this machine"))
ANSWERS = Examined(Subject.CLUSTER, "api", holds("the API server answers"))


def shown(found: Examined, screen: Screen) -> list[str]:
    return list(lines(found, screen))


def test_a_link_has_a_line_and_one_that_does_not_hold_its_cure_below() -> None:
    assert shown(GOOD, WIDE) == ["✓ driver       driver 580.159.04, NVML answers"]
    assert shown(BAD, WIDE) == [
        "✗ adapter      nobody serves custom.metrics.k8s.io",
        "               Cure: Install this chart.",
    ]
    assert shown(DARK, WIDE)[0] == "? api          no kubeconfig"


def test_forty_columns_are_enough() -> None:
    narrow = Screen(40, "utf-8", has_colours=False)
    assert shown(BAD, narrow) == [
        "✗ adapter: nobody serves",
        "    custom.metrics.k8s.io",
        "    Cure: Install this chart.",
    ]


def test_another_encoding_has_signs_of_its_own() -> None:
    latin = Screen(100, "iso-8859-1", has_colours=False)
    assert [shown(one, latin)[0][:2] for one in (GOOD, BAD, DARK)] == ["ok", "NO", "? "]
    greek = Examined(Subject.NODE, "driver", holds("pod λ"))
    assert shown(greek, latin) == ["ok driver       pod ?"]
    assert shown(greek, Screen(100, "no such encoding", has_colours=False)) == ["ok driver       pod ?"]


def test_colours_are_for_terminals_that_want_them() -> None:
    def has_colours(environ: dict[str, str], *, is_terminal: bool) -> bool:
        return screen_of(environ, 80, "utf-8", is_terminal=is_terminal).has_colours

    assert has_colours({"TERM": "xterm"}, is_terminal=True)
    assert not has_colours({"TERM": "xterm"}, is_terminal=False)
    assert not has_colours({"TERM": "xterm", "NO_COLOR": "1"}, is_terminal=True)
    assert not has_colours({"TERM": "dumb"}, is_terminal=True)
    assert shown(GOOD, Screen(100, "utf-8", has_colours=True))[0].startswith("\x1b[32m✓\x1b[0m ")


def test_a_pipe_has_no_width_and_a_terminal_of_one_column_is_survived() -> None:
    assert screen_of({}, 20, "utf-8", is_terminal=False).columns == 120
    assert screen_of({}, 1, None, is_terminal=True) == Screen(20, "ascii", has_colours=False)


@given(st.text(), st.text(), st.sampled_from(Mark), st.integers(20, 120), st.sampled_from(["utf-8", "ascii", "cp1252"]))
def test_whatever_was_seen_a_terminal_takes_no_command_of_it(
    seen: str, cure: str, mark: Mark, columns: int, encoding: str
) -> None:
    found = Examined(Subject.NODE, "permissions", Finding(mark, seen, cure))
    for line in lines(found, Screen(columns, encoding, has_colours=False)):
        assert line.isprintable()
        assert len(line) <= columns
        line.encode(encoding)


@pytest.mark.parametrize(
    ("found", "code", "last"),
    [
        ([GOOD], 0, "No broken link was found."),
        ([GOOD, DARK], 3, "No broken link was found. 1 could not be checked from here."),
        (
            [DARK, BAD, BAD._replace(link="rule"), GOOD],
            1,
            "The first broken link is adapter. Begin with its cure. 1 could not be checked from here.",
        ),
        ([], 0, "No broken link was found."),
        ([DARK, DARK], 3, "No link could be checked from here. Begin with the cure of api."),
        ([FAR, ANSWERS], 0, "No broken link was found. 1 could not be checked from here."),
        ([FAR, ANSWERS, DARK], 3, "No broken link was found. 2 could not be checked from here."),
        ([FAR, GOOD, ANSWERS], 3, "No broken link was found. 1 could not be checked from here."),
        ([FAR, DARK], 3, "No link could be checked from here. Begin with the cure of api."),
    ],
)
def test_the_worst_finding_is_the_exit_code_and_the_first_broken_link_the_last_line(
    found: list[Examined], code: int, last: str
) -> None:
    assert exit_code(found) == code
    assert summary(found, WIDE) == last


def test_json_has_all_of_it() -> None:
    found = json.loads(as_json([GOOD, BAD]))
    assert found["first_broken"] == "adapter"
    assert found["findings"][1] == {
        "subject": "scaling",
        "link": "adapter",
        "mark": "broken",
        "seen": "nobody serves custom.metrics.k8s.io",
        "cure": "Install this chart.",
    }
    assert json.loads(as_json([GOOD]))["first_broken"] is None

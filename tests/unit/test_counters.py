import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import fields
from exporter.catalogue import ANSWERED
from exporter.counters import Counter, MetricType, Parsed, parse_counters
from exporter.errors import ConfigError

ALL = frozenset(fields.FIELDS)
TEMPERATURE = "DCGM_FI_DEV_GPU_TEMP"


def parse(text: str, answered: frozenset[str] = ALL) -> Parsed:
    return parse_counters(text, "f.csv", answered)


def only(text: str) -> Counter:
    (counter,), warnings = parse(text)
    assert all("no row of it makes" in warning for warning in warnings)
    return counter


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_row_names_field_type_and_help() -> None:
    assert only(f"{TEMPERATURE}, gauge, How warm.") == Counter(
        name=TEMPERATURE,
        field="DCGM_FI_DEV_GPU_TEMP_CELSIUS",
        field_id=150,
        type=MetricType.GAUGE,
        help="How warm.",
    )


@pytest.mark.parametrize("kind", ["gauge", "counter", "label", "histogram", "summary", "untyped"])
def test_every_type_of_dcgm_exporter_is_taken(kind: str) -> None:
    assert only(f"{TEMPERATURE},{kind},x").type == kind


def test_comments_and_blank_lines_are_skipped_and_counted() -> None:
    text = "# a comment, with, commas\n\n  \t\n   # an indented one\nDCGM_FI_DEV_GPU_TMP, gauge, x\n"
    assert refusal(text).startswith("f.csv:5: ")


@pytest.mark.parametrize("row", [",,", " , ,", '"# Temperature, power",,', '" # say ""x""",gauge,y'])
def test_blank_rows_and_comments_as_spreadsheets_save_them_are_skipped(row: str) -> None:
    assert [counter.name for counter in parse(f"{row}\n{TEMPERATURE},gauge,x\n{row}").counters] == [TEMPERATURE]
    assert refusal(f"{row}\n{row}\nbroken").startswith("f.csv:3: ")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_read(end: str) -> None:
    rows = [f"{TEMPERATURE}, gauge, one", "# more", "DCGM_FI_DEV_FB_USED, gauge, two", ""]
    assert [counter.help for counter in parse(end.join(rows)).counters] == ["one", "two"]
    assert refusal(end.join([*rows[:3], "broken"])).startswith("f.csv:4: ")


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert only(f"\ufeff{TEMPERATURE}, gauge, x").name == TEMPERATURE


def test_a_help_may_hold_commas_and_quotes_without_being_quoted() -> None:
    assert only(f'{TEMPERATURE}, gauge, Warm, "hot", or 5" high').help == 'Warm, "hot", or 5" high'


def test_any_column_may_be_quoted_with_spaces_around_it() -> None:
    counter = only(f' "{TEMPERATURE}" , "counter" , "Warm, ""hot"",\nor cold" ')
    assert (counter.name, counter.type, counter.help) == (TEMPERATURE, "counter", 'Warm, "hot",\nor cold')


def test_a_quoted_help_of_two_lines_counts_as_two_lines() -> None:
    assert refusal(f'{TEMPERATURE}, gauge, "a\nb"\nNOBODY, gauge, x').startswith("f.csv:3: ")


def test_a_help_may_be_empty() -> None:
    assert not only(f"{TEMPERATURE}, gauge,").help


def test_counters_keep_the_order_of_the_file() -> None:
    text = f"DCGM_FI_DEV_FB_USED,gauge,x\n{TEMPERATURE},gauge,x\nDCGM_FI_DEV_SM_CLOCK,gauge,x\n"
    assert [counter.field_id for counter in parse(text).counters] == [252, 150, 100]


def test_a_string_field_is_a_label_whatever_the_row_says() -> None:
    assert only("DCGM_FI_DRIVER_VERSION, gauge, x").type is MetricType.LABEL


def test_the_first_of_two_rows_of_a_name_counts_with_one_warning() -> None:
    rows = [f"{TEMPERATURE}, {kind}, x" for kind in ("gauge", "counter", "summary")]
    counters, warnings = parse("\n".join(rows))
    assert [counter.type for counter in counters] == [MetricType.GAUGE]
    assert len(warnings) == 1
    assert warnings[0].startswith("f.csv:2: ")
    assert "line 1 " in warnings[0]


def test_both_generations_of_a_name_may_stand_in_one_file() -> None:
    names = (TEMPERATURE, "DCGM_FI_DEV_GPU_TEMP_CELSIUS", "dcgm_gpu_temp")
    counters, warnings = parse("".join(f"{name}, gauge, x\n" for name in names))
    assert tuple(counter.name for counter in counters) == names
    assert {counter.field for counter in counters} == {"DCGM_FI_DEV_GPU_TEMP_CELSIUS"}
    assert not warnings


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DCGM_FI_DEV_CPU_UTIL_TOTAL", "it is about CPUs, and NVML has no such value"),
        ("DCGM_FI_DEV_NVSWITCH_FATAL_ERRORS", "it is about NVSwitches, and NVML has no such value"),
        ("DCGM_FI_DEV_NVSWITCH_LATENCY_MAX_P17", "it is about NVSwitches, and NVML has no such value"),
        ("DCGM_FI_DEV_CONNECTX_HEALTH", "it is about network cards, and NVML has no such value"),
        ("DCGM_FI_IMEX_DAEMON_STATUS", "it is about the IMEX service, and NVML has no such value"),
        ("DCGM_FI_DEV_DIAG_EUD_TEST_RESULT", "it is a result of DCGM's diagnostics, and NVML has no such value"),
        ("DCGM_FI_BIND_UNBIND_EVENT", "DCGM makes it itself, and NVML has no such value"),
        ("DCGM_FI_DEV_FABRIC_CLIQUE_ID", "it is not implemented yet"),
        ("DCGM_FI_DEV_COMPUTE_PIDS", "it is a binary structure, not a number"),
        ("DCGM_FI_DEV_FB_TOTAL", "it is not implemented yet"),
        ("DCGM_EXP_P2P_STATUS", "it is not implemented yet"),
        ("DCGM_FI_SYSTEM_PCI_TOPOLOGY", "it is a binary structure, not a number"),
    ],
)
def test_a_field_that_is_not_answered_is_skipped_with_the_reason(name: str, why: str) -> None:
    counters, warnings = parse(
        f"{name}, gauge, x\n{TEMPERATURE}, gauge, x", frozenset({"DCGM_FI_DEV_GPU_TEMP_CELSIUS"})
    )
    assert [counter.name for counter in counters] == [TEMPERATURE]
    assert warnings == (f"f.csv:1: {name} is skipped: {why}",)


def test_a_skipped_row_names_the_fields_that_tell_the_same_as_far_as_they_can_be_answered() -> None:
    text = f"DCGM_FI_DEV_GPU_NVLINK_ERRORS, gauge, x\n{TEMPERATURE}, gauge, x"
    replays, flits = "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_TOTAL", "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_TOTAL"
    why = "f.csv:1: DCGM_FI_DEV_GPU_NVLINK_ERRORS is skipped: DCGM makes it itself, and NVML has no such value"
    temperature = "DCGM_FI_DEV_GPU_TEMP_CELSIUS"
    assert parse(text, frozenset({temperature})).warnings == (why,)
    one = "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"
    assert parse(text, frozenset({temperature, replays})).warnings == (f"{why}; use {one}",)
    both = f"DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL or {one}"
    assert parse(text, frozenset({temperature, replays, flits})).warnings == (f"{why}; use {both}",)


def test_every_field_that_is_not_answered_is_skipped_for_a_reason_that_fits_its_source() -> None:
    for field in (*fields.FIELDS.values(), *fields.RETIRED.values()):
        counters, (warning, *_) = parse(f"{field.name}, gauge, x", frozenset())
        assert not counters
        is_nvmls = field.source.startswith("nvml") or field.source == "exporter"
        if field.value_type == "binary":
            assert "it is a binary structure" in warning
        else:
            assert ("it is not implemented yet" in warning, "NVML has no such value" in warning) == (
                is_nvmls,
                not is_nvmls,
            )


def test_a_file_of_which_nothing_is_left_says_so() -> None:
    rows = ("DCGM_FI_DEV_CPU_UTIL_TOTAL, gauge, x", "DCGM_FI_DRIVER_VERSION, label, x")
    driver_version = frozenset({"DCGM_FI_SYSTEM_DRIVER_VERSION"})
    *_, last = parse("\n".join(rows), driver_version).warnings
    assert last == "f.csv: no row of it makes a series"
    assert parse(f"{rows[0]}\n{TEMPERATURE}, gauge, x", ALL - {"DCGM_FI_DEV_CPU_UTIL_TOTAL"}).warnings[1:] == ()


CASES = Path(__file__).parents[1] / "cases"


def case(name: str) -> list[dict[str, str]]:
    with (CASES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", case("dcgm-names.csv"), ids=lambda row: row["name"])
def test_a_name_that_dcgm_had_once_ends_no_program(row: dict[str, str]) -> None:
    counters, warnings = parse(f"{row['name']}, gauge, x", ANSWERED)
    assert len(counters) + len(warnings) > 0
    found = fields.find(row["name"])
    assert found is not None
    assert found.id == int(row["field_id"])


FORKS_OWN = {row["name"] for row in case("demand.csv") if row["printed_on_2026_11_29"] == "unknown"} - {
    row["name"] for row in case("dcgm-names.csv")
}


@pytest.mark.parametrize("name", [row["name"] for row in case("demand.csv")])
def test_of_the_names_in_use_only_those_of_forks_are_refused(name: str) -> None:
    if name in FORKS_OWN:
        assert f"unknown field '{name}'" in refusal(f"{name}, gauge, x")
    else:
        parse(f"{name}, gauge, x", ANSWERED)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("de317-clock-events.csv", ()),
        ("de581-c2c.csv", ()),
        ("de700-nvlink-errors.csv", ("and NVML has no such value; use DCGM_FI_DEV_XID_ERRORS",)),
        (
            "gmt143-1x-pcie.csv",
            (
                "dcgm_pcie_tx_throughput is skipped: it is not implemented yet; use DCGM_FI_PROF_PCIE_TX_BYTES",
                "dcgm_pcie_rx_throughput is skipped: it is not implemented yet; use DCGM_FI_PROF_PCIE_RX_BYTES",
            ),
        ),
    ],
)
def test_the_files_of_users_are_read(name: str, words: tuple[str, ...]) -> None:
    text = (CASES / name).read_text(encoding="utf-8")
    answered = ANSWERED - {"DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "DCGM_FI_DEV_PCIE_RX_THROUGHPUT"}
    counters, warnings = parse_counters(text, name, answered)
    assert bool(counters) != any("no row of it makes" in warning for warning in warnings)
    for word in words:
        assert any(word in warning for warning in warnings)


def test_a_field_that_can_be_answered_without_nvml_is_no_less_welcome() -> None:
    assert only("DCGM_FI_DEV_NVML_INDEX, gauge, x").field_id == 52


def test_a_binary_field_is_never_printed() -> None:
    counters, warnings = parse("DCGM_FI_SYSTEM_PCI_TOPOLOGY, gauge, x")
    assert not counters
    assert [warning.partition(" ")[2] for warning in warnings] == [
        "DCGM_FI_SYSTEM_PCI_TOPOLOGY is skipped: it is a binary structure, not a number",
        "no row of it makes a series",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DCGM_FI_DEV_GPU_TMP", "DCGM_FI_DEV_GPU_TEMP"),
        ("dcgm_fi_dev_fb_used", "DCGM_FI_DEV_FB_USED"),
        ("dcgm_gpu_tmp", "dcgm_gpu_temp"),
        ("DCGM_FI_PROF_SM_OCUPANCY", "DCGM_FI_PROF_SM_OCCUPANCY"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(written: str, meant: str) -> None:
    assert refusal(f"\n{written}, gauge, x") == f"f.csv:2: unknown field '{written}'; did you mean {meant}?"


@pytest.mark.parametrize("name", ["temperature", "DCGM_FI_DEV_TEMPERATURE", "DCGM_FI_PROF_PCIE"])
def test_an_unknown_field_like_no_other_is_refused_plainly(name: str) -> None:
    assert refusal(f"{name}, gauge, x") == f"f.csv:1: unknown field '{name}'"


@pytest.mark.parametrize("kind", ["Gauge", "guage", "", "gauge x"])
def test_an_unknown_type_is_refused_with_those_that_are_known(kind: str) -> None:
    assert refusal(f"{TEMPERATURE}, {kind}, x") == (
        f"f.csv:1: unknown type {kind!r}; expected one of gauge, counter, label, histogram, summary, untyped"
    )


def test_a_row_is_checked_although_it_would_be_skipped() -> None:
    assert "unknown type" in refusal("DCGM_FI_DEV_CPU_UTIL_TOTAL, gouge, x")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (TEMPERATURE, "1 of the three columns"),
        (f"{TEMPERATURE}\tgauge\tx", "columns field, type, help, separated by commas"),
        (f"{TEMPERATURE}, gauge", "2 of the three columns"),
        (", gauge, x", "names no field"),
        (" , gauge, x", "names no field"),
        (f'{TEMPERATURE}, gauge, "unclosed, x', "quotes"),
        (f'{TEMPERATURE}, gauge, "closed" too early', "quotes"),
        (f'{TEMPERATURE}, gauge, "one", "two"', "quotes"),
        (f'"{TEMPERATURE}, gauge, x', "quotes"),
        (f"{TEMPERATURE}, gauge, a\x00b", "control character"),
        ('"\n", gauge, x', "unknown field"),
    ],
)
def test_a_broken_row_is_refused_with_line_and_reason(row: str, reason: str) -> None:
    sentence = refusal(f"DCGM_FI_DEV_FB_USED, gauge, x\n{row}\n")
    assert sentence.startswith("f.csv:2: ")
    assert reason in sentence


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but comments\n"])
def test_a_file_without_a_row_is_refused(text: str) -> None:
    assert refusal(text) == "f.csv: there is no counter in it; expected rows of field, type, help"


HELPS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
SPACES = st.text(" \t", max_size=3)


@given(help_text=HELPS, spaces=st.tuples(*[SPACES] * 6), quotes=st.tuples(st.booleans(), st.booleans()))
def test_any_quoted_help_comes_back(help_text: str, spaces: tuple[str, ...], quotes: tuple[bool, bool]) -> None:
    name, kind = (f'"{word}"' if quote else word for word, quote in zip((TEMPERATURE, "gauge"), quotes, strict=True))
    columns = (name, kind, '"' + help_text.replace('"', '""') + '"')
    row = ",".join(
        before + column + after for before, column, after in zip(spaces[:3], columns, spaces[3:], strict=True)
    )
    counter = only(f"# before\n{row}\n# after")
    assert (counter.name, counter.type, counter.help) == (TEMPERATURE, "gauge", help_text.strip())


@given(help_text=HELPS.filter(lambda text: not text.lstrip().startswith('"')), spaces=st.tuples(*[SPACES] * 3))
def test_any_help_that_does_not_begin_with_a_quote_comes_back_unquoted(
    help_text: str, spaces: tuple[str, str, str]
) -> None:
    row = f"{spaces[0]}{TEMPERATURE},{spaces[1]}gauge,{spaces[2]}{help_text}"
    assert only(row).help == help_text.strip()


SNIPPETS = st.sampled_from(
    [TEMPERATURE, "DCGM_FI_DEV_FB_USED", "gauge", ",", '"', '""', "#", "\n", "\r\n", " ", "\ufeff", "x"]
)


@given(st.one_of(st.text(), st.lists(SNIPPETS, max_size=30).map("".join)))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        counters, warnings = parse(text)
    except ConfigError as error:
        sentence = str(error)
    else:
        assert counters or warnings
        assert len({counter.name for counter in counters}) == len(counters)
        sentence = "f.csv: read"
    assert sentence.startswith("f.csv:")
    assert "\n" not in sentence

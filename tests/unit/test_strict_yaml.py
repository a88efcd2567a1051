import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.strict_yaml import MOST_LEVELS, MOST_VALUES, load_mapping


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_mapping(text, "c.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bomb(levels: int) -> str:
    """Return lists of ten aliases each of the list before, so that the last is ten to the power of the levels."""
    lists = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lists += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lists)


def test_a_document_is_its_keys_and_values() -> None:
    text = "a: &a {b: [1, x, 2.5]}\nc: *a\nd: {<<: *a, e: }"
    inner = {"b": [1, "x", 2.5]}
    assert load_mapping(text, "c.yaml") == {"a": inner, "c": inner, "d": {**inner, "e": None}}


def test_a_key_that_stands_twice_is_refused_at_every_level() -> None:
    assert refusal("a: 1\nb: 2\na: 3") == "c.yaml:3: the key 'a' is repeated"
    assert refusal("a:\n- {b: 1,\n   b: 2}") == "c.yaml:3: the key 'b' is repeated"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "!!map {a: "])
def test_what_is_nested_too_deeply_is_refused(opening: str) -> None:
    assert "more than 50 nested levels" in refusal(f"a:\n  {opening * 100_000}")


def test_as_many_levels_as_are_allowed_are_read() -> None:
    brackets = MOST_LEVELS - 1
    assert load_mapping(f"a: {'[' * brackets}{']' * brackets}", "c.yaml")
    assert "levels" in refusal(f"a: {'[' * (brackets + 1)}{']' * (brackets + 1)}")


def test_an_alias_counts_as_all_that_it_stands_for() -> None:
    assert load_mapping(bomb(3), "c.yaml")
    for levels in (5, 9, 40):
        assert "more than 50000 values" in refusal(bomb(levels))


def test_merged_keys_count_as_all_that_they_stand_for() -> None:
    maps = ["a0: &a0 {x: 1}"]
    maps += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    assert "more than 50000 values" in refusal("\n".join(maps))


def test_an_alias_within_what_it_stands_for_is_refused() -> None:
    assert refusal("a: &a [*a]") == "c.yaml:1: an alias refers to itself"


def test_more_values_than_are_allowed_are_refused() -> None:
    assert "more than 50000 values" in refusal(f"a: [{'1,' * MOST_VALUES}]")


@pytest.mark.parametrize("number", ["1" + ":59" * 300_000, "0x" + "f" * 100_000, "9" * 10_000, "1" * 200 + ".5"])
def test_a_number_that_takes_long_is_refused(number: str) -> None:
    assert refusal(f"a: {number}") == f"c.yaml:1: a number or a date has {len(number)} characters"
    assert load_mapping(f"a: '{number}'", "c.yaml") == {"a": number}


@pytest.mark.parametrize(
    "value",
    ["!!int x", "!!int ''", "!!bool x", "!!float x", "!!timestamp x", "2001-13-45", "!!binary é", "!!python/name:os.x"],
)
def test_a_value_that_is_not_of_its_type_is_refused(value: str) -> None:
    assert "this is not YAML" in refusal(f"a: {value}")


def test_a_nul_is_refused() -> None:
    assert "this is not YAML" in refusal("a: \0")


SNIPPETS = st.sampled_from(
    ["a", "b", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "!!int ", "!!set ", "!!omap ", "'",
     '"', "? ", "| ", "> ", "#", "%", "---", "...", "1", ".", "0x", "e", "~", "=", "\t", "\ufeff", "\0"]
)  # fmt: skip


@given(st.text() | st.lists(SNIPPETS).map("".join))
def test_any_text_is_a_mapping_or_one_sentence(text: str) -> None:
    try:
        document = load_mapping(text, "c.yaml")
    except ConfigError as error:
        sentence = str(error)
        assert sentence.startswith("c.yaml")
        assert "\n" not in sentence
    else:
        assert isinstance(document, dict)


def test_half_a_character_is_refused_wherever_it_stands() -> None:
    for text in ('"\\ud800": 1', 'a: "\\ud800"', 'a: [b, "c\\udfff"]'):
        assert refusal(text) == "c.yaml:1: a string has half a character, a surrogate of UTF-16"

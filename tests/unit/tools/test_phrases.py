from tools.phrases import odd_phrases


def test_an_odd_phrase_is_named_with_its_line_and_what_to_write_instead() -> None:
    text = "It works.\nA node that exists no more is warned of.\n"
    assert list(odd_phrases(text)) == [
        (2, "exists no more", "is not responding; no longer exists"),
        (2, "warned of", "causes a warning"),
    ]


def test_usual_phrases_and_names_in_code_are_left_alone() -> None:
    assert list(odd_phrases("No more than two; gate.mend(); it is amended where needed.\n")) == []

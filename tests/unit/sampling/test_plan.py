from exporter.catalogue import ANSWERED, CATALOGUE
from exporter.catalogue.convert import same
from exporter.catalogue.reading import COLLECTION, SLOW, UNHURRIED, Call, Field, FieldValue, Scope, Tracked, Tracker
from exporter.sampling.plan import plan

ONE, OTHER = Field("ONE", same), Field("OTHER", same)


def names(*readings: Call | FieldValue | Tracked) -> list[list[str]]:
    return [[field.name for field in reading.fields] for reading in readings]


def test_only_readings_that_answer_something_wanted_are_taken_and_only_their_wanted_fields() -> None:
    catalogue = (Call("a", (ONE, OTHER)), Call("b", (Field("THIRD", same),)), FieldValue(7, (Field("FOURTH", same),)))
    chosen = plan({"OTHER"}, catalogue)
    assert names(*chosen.calls) == [["OTHER"]]
    assert chosen.field_values == ()
    assert chosen.tracked == {}


def test_equal_calls_are_made_once_for_all_fields_and_as_often_as_the_most_frequent_needs() -> None:
    catalogue = (Call("a", (ONE,), (1,), period=SLOW), Call("a", (OTHER,), (1,)))
    (call,) = plan({"ONE", "OTHER"}, catalogue).calls
    assert names(call) == [["ONE", "OTHER"]]
    assert call.period == COLLECTION


def test_calls_with_other_arguments_or_another_scope_are_other_calls() -> None:
    catalogue = (Call("a", (ONE,), (1,)), Call("a", (OTHER,), (2,)), Call("a", (OTHER,), (1,), Scope.INSTANCE))
    assert len(plan({"ONE", "OTHER"}, catalogue).calls) == 3


def test_equal_field_values_are_read_once_and_another_scope_id_is_another_value() -> None:
    catalogue = (FieldValue(7, (ONE,)), FieldValue(7, (OTHER,)), FieldValue(7, (OTHER,), scope_id=3))
    assert names(*plan({"ONE", "OTHER"}, catalogue).field_values) == [["ONE", "OTHER"], ["OTHER"]]


def test_tracked_readings_go_to_their_tracker() -> None:
    catalogue = (
        Tracked(Tracker.GPM, (1,), (ONE,)),
        Tracked(Tracker.GPM, (2,), (OTHER,)),
        Tracked(Tracker.EVENTS, (), ()),
    )
    chosen = plan({"ONE", "OTHER"}, catalogue)
    assert chosen.calls == ()
    assert names(*chosen.tracked[Tracker.GPM]) == [["ONE"], ["OTHER"]]
    assert Tracker.EVENTS not in chosen.tracked


def test_what_a_value_is_made_of_is_read_with_it_and_not_at_each_collection_unless_it_is_asked_for() -> None:
    made = Tracked(Tracker.HEALTH, (), (Field("MADE", same),), inputs=("ONE", "OTHER"))
    catalogue = (Call("a", (ONE,)), FieldValue(7, (OTHER,), period=SLOW), made)
    alone = plan({"MADE"}, catalogue)
    assert [call.period for call in alone.calls] == [UNHURRIED]
    assert [value.period for value in alone.field_values] == [SLOW]
    assert [call.period for call in plan({"MADE", "ONE"}, catalogue).calls] == [COLLECTION]
    assert plan({"OTHER"}, catalogue).calls == ()


def test_a_plan_for_everything_answers_everything_once() -> None:
    chosen = plan(ANSWERED, CATALOGUE)
    tracked = [reading for readings in chosen.tracked.values() for reading in readings]
    answered = [name for fields in names(*chosen.calls, *chosen.field_values, *tracked) for name in fields]
    assert len(answered) == len(set(answered))
    assert set(answered) >= ANSWERED

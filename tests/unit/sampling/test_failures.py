import logging

import pytest

from exporter.model import Entity, Gpu, Instance, Missing, Reason
from exporter.sampling.failures import EVERYTHING, Failures

H100 = "NVIDIA H100"


def gpu(index: int, model: str = H100) -> Entity:
    return Entity(Gpu(index, f"GPU-{index}", f"00000000:0{index}:00.0", index, model))


def mig(index: int, instance: int) -> Entity:
    return Entity(gpu(index).gpu, Instance(instance, "1g.10gb", (f"MIG-{index}-{instance}",)))


def said(failures: Failures, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Let the failures be reported until nothing more is said; return what is new."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    for _ in range(3):
        failures.report()
    return [f"{record.levelname} {record.message}" for record in caplog.records]


def test_what_a_model_does_not_have_is_one_line_for_all_its_gpus(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for index in range(4):
        for name in ("A", "B", "C"):
            failures(Missing(gpu(index), name, Reason.NOT_SUPPORTED))
    failures(Missing(gpu(4, "Tesla T4"), "A", Reason.NOT_SUPPORTED))
    assert said(failures, caplog) == [
        f"INFO {H100} has no A, B, C: not_supported",
        "INFO Tesla T4 has no A: not_supported",
    ]
    assert said(failures, caplog) == []
    assert failures.totals() == {("A", Reason.NOT_SUPPORTED): 5, **{(n, Reason.NOT_SUPPORTED): 4 for n in "BC"}}


def test_many_fields_are_counted_and_the_first_are_named_with_where_the_others_are_to_be_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = Failures()
    for number in range(1, 201):
        failures(Missing(gpu(0), f"F{number}", Reason.NOT_SUPPORTED))
    failures(Missing(gpu(0), "G", Reason.NOT_A_NUMBER))
    assert said(failures, caplog) == [
        f"INFO {H100} has no F1, F2, F3, F4, F5 and 195 more (listed at /): not_supported; G: not_a_number"
    ]
    for number in range(1, 7):
        failures(Missing(gpu(0), f"F{number}", Reason.UNKNOWN))
    assert said(failures, caplog) == ["WARNING GPU 0 has no F1, F2, F3, F4, F5 and 1 more (listed at /): unknown"]


def test_what_a_person_should_know_is_said_beside_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures(Missing(gpu(0), "A", Reason.NOT_SUPPORTED))
    for name in ("B", "C"):
        failures(Missing(gpu(0), name, Reason.NOT_SUPPORTED, "it needs more"))
    assert said(failures, caplog) == [
        f"INFO {H100} has no A: not_supported; B, C: not_supported, it needs more",
    ]


def test_mig_instances_of_a_kind_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for index, instance in ((0, 1), (0, 2), (1, 7)):
        failures(Missing(mig(index, instance), "A", Reason.NOT_SUPPORTED))
    assert said(failures, caplog) == [f"INFO MIG 1g.10gb of {H100} has no A: not_supported"]


def test_only_what_is_new_is_said_later(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures(Missing(gpu(0), "A", Reason.NOT_SUPPORTED))
    said(failures, caplog)
    failures(Missing(gpu(1), "A", Reason.NOT_SUPPORTED))
    failures(Missing(gpu(1), "B", Reason.NOT_SUPPORTED))
    assert said(failures, caplog) == [f"INFO {H100} has no B: not_supported"]


def test_what_goes_wrong_with_one_gpu_names_it(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures({"A": "a", "B": "b"}.get)  # type: ignore[arg-type]
    for entity in (gpu(0), gpu(1), mig(2, 5)):
        for name in ("A", "B"):
            failures(Missing(entity, name, Reason.OUT_OF_RANGE))
    assert said(failures, caplog) == [
        "WARNING GPU 0 has no a, b: out_of_range",
        "WARNING GPU 1 has no a, b: out_of_range",
        "WARNING GPU 2 instance 5 has no a, b: out_of_range",
    ]


def test_nothing_is_said_while_there_is_more_each_time(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    caplog.set_level(logging.INFO)
    for name in ("A", "B", "C"):
        failures(Missing(gpu(0), name, Reason.NOT_SUPPORTED))
        failures.report()
    assert caplog.records == []
    assert said(failures, caplog) == [f"INFO {H100} has no A, B, C: not_supported"]


def test_a_gpu_that_answers_nothing_is_counted_and_said_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures(Missing(gpu(0), EVERYTHING, Reason.GPU_LOST))
    assert said(failures, caplog) == []
    assert failures.totals() == {(EVERYTHING, Reason.GPU_LOST): 1}


def test_a_gpu_without_a_name_is_called_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures(Missing(gpu(3, ""), "A", Reason.NOT_SUPPORTED))
    assert said(failures, caplog) == ["INFO GPU 3 has no A: not_supported"]

from collections.abc import Iterator

from exporter.kube.pace import Backoff


def pauses(backoff: Backoff, longest_s: float, number: int) -> Iterator[float]:
    return (backoff.next_s(longest_s) for _ in range(number))


def test_pauses_grow_to_their_longest_and_no_further() -> None:
    backoff = Backoff(1.0)
    full = [1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * 200]
    for pause_s, most_s in zip(pauses(backoff, 30.0, len(full)), full, strict=True):
        assert most_s / 2 <= pause_s <= most_s


def test_a_longer_limit_is_approached_step_by_step() -> None:
    backoff = Backoff(1.0)
    list(pauses(backoff, 30.0, 100))
    for pause_s, most_s in zip(pauses(backoff, 300.0, 5), (60.0, 120.0, 240.0, 300.0, 300.0), strict=True):
        assert most_s / 2 <= pause_s <= most_s


def test_success_makes_pauses_short_again() -> None:
    backoff = Backoff(1.0)
    list(pauses(backoff, 30.0, 100))
    backoff.reset()
    assert backoff.next_s(30.0) <= 1.0


def test_nodes_do_not_ask_in_step() -> None:
    assert len({Backoff(1.0).next_s(30.0) for _ in range(20)}) > 10

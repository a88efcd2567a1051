from exporter.server.web_config.rate_limit import RequestRate, TokenBucket


def test_burst_is_taken_at_once_and_comes_back_one_an_interval() -> None:
    now = 100.0
    bucket = TokenBucket(RequestRate(interval_s=2.0, burst=3), lambda: now)
    assert [bucket.takes() for _ in range(4)] == [True, True, True, False]
    now = 101.9
    assert not bucket.takes()
    now = 102.1
    assert [bucket.takes() for _ in range(2)] == [True, False]
    now = 1000.0
    assert [bucket.takes() for _ in range(4)] == [True, True, True, False]

"""A crowd of hostile clients at once, in the clear and over TLS: no honest scrape fails, and memory stays bounded."""

from pathlib import Path

import pytest

from tests.benchmarks.hostile_clients import Hostile, crowd
from tests.benchmarks.hostile_run import running_server

PAGE_BYTES = 1_000_000
MOST_MORE_KIB = 32 * 1024
ATTACK_S = 5.0


@pytest.mark.parametrize("secure", [False, True], ids=["in the clear", "with TLS"])
def test_hostile_crowd_makes_no_honest_scrape_fail_and_takes_little_memory(tmp_path: Path, *, secure: bool) -> None:
    with running_server(PAGE_BYTES, tmp_path, secure=secure) as server:
        assert server.quiet_run(1.0, 20.0).failures == []
        before_kib = server.peak_kib()
        run, opened = server.hostile_run(ATTACK_S, 10.0)
        assert run.failures == []
        assert len(run.latencies_s) > 10
        assert len(opened) == len(crowd(Hostile(server.target)))
        assert server.peak_kib() - before_kib < MOST_MORE_KIB
        assert server.quiet_run(1.0, 20.0).failures == []

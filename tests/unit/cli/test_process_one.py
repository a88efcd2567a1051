from pathlib import Path

import pytest

from exporter.cli.process_one import flags_of_process_one


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["gpu-metrics-exporter", "-k", "-f", "a.csv"], ("-k", "-f", "a.csv")),
        (["/usr/bin/python3", "/usr/local/bin/dcgm-exporter", "--mock=x"], ("--mock=x",)),
        (["python3", "-m", "exporter", "serve", "-k"], ("-k",)),
        (["gpu-metrics-exporter"], ()),
        (["gpu-metrics-exporter", "doctor", "--json"], ()),
        (["/sbin/init", "splash"], ()),
        (["/pause"], ()),
        (["sh", "-c", "gpu-metrics-exporter -k"], ()),
        ([""], ()),
    ],
)
def test_flags_of_an_exporter_that_is_process_one_are_taken(
    tmp_path: Path, words: list[str], flags: tuple[str, ...]
) -> None:
    (tmp_path / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    assert flags_of_process_one(tmp_path / "cmdline") == flags


def test_a_process_one_that_can_not_be_looked_at_has_none(tmp_path: Path) -> None:
    assert flags_of_process_one(tmp_path / "none") == ()

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.attribution.jobs import MOST_BYTES, MOST_JOBS, MOST_NAMED, STALE_AFTER_S, Jobs, jobs_of, parse_jobs
from exporter.model import Entity, Gpu, Instance
from tests.unit.fake_clock import FakeClock
from tests.waiting import until

CASES = Path(__file__).parents[2] / "cases"
UUID_CASE = [
    Gpu(index, f"GPU-00000074-0000-0000-0000-00000000000{index}", f"00000000:0{index}:00.0", index, "NVIDIA H100")
    for index in range(3)
]


class Folder:
    """A mapping folder, and the jobs that are read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs = Jobs(path, interval_s=0.005)

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def look(self) -> dict[str, tuple[str, ...]]:
        self.jobs.look()
        return dict(self.jobs.latest())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_each_line_is_a_job(folder: Folder) -> None:
    folder.write("0", "job-7\njob-9\n")
    folder.write("2", "job-11")
    folder.write("2.0", "123\n")
    folder.write("3.10", "4711\n")
    assert folder.look() == {"0": ("job-7", "job-9"), "2": ("job-11",), "2.0": ("123",), "3.10": ("4711",)}


def test_empty_lines_blanks_and_repetitions_do_not_count(folder: Folder) -> None:
    folder.write("0", "\n b \r\n\na\nb\n\t\na\n")
    assert folder.look() == {"0": ("b", "a")}


@pytest.mark.parametrize("content", ["", "\n", " \r\n"])
def test_a_file_without_jobs_is_as_good_as_none(folder: Folder, content: str) -> None:
    folder.write("0", content)
    assert folder.look() == {}


def test_an_entitys_file_is_named_by_index_and_gpu_instance_id_or_by_uuid() -> None:
    gpu = Gpu(2, "GPU-1", "00000000:01:00.0", 5, "NVIDIA A100")
    jobs = {"2": ("a", "b"), "GPU-1": ("b", "c"), "2.0": ("d",), "MIG-1": ("e",), "5": ("of the minor number",)}
    assert jobs_of(Entity(gpu), jobs) == ("a", "b", "c")
    assert jobs_of(Entity(gpu, Instance(0, "1g.5gb", ("MIG-1",))), jobs) == ("d", "e")
    assert jobs_of(Entity(gpu), {}) == ()


def test_files_that_slurm_names_by_uuid_count() -> None:
    jobs = Jobs(CASES / "hpc-uuid")
    jobs.look()
    of_gpus = [jobs_of(Entity(gpu), jobs.latest()) for gpu in UUID_CASE]
    assert of_gpus == [("4711",), ("4712",), ("4713", "4714")]
    assert jobs.news().left_out == 0


def test_files_that_change_come_and_go_are_followed(folder: Folder) -> None:
    assert folder.look() == {}
    folder.write("0", "1\n")
    assert folder.look() == {"0": ("1",)}
    folder.write("0", "1\n2\n")
    folder.write("1", "3\n")
    assert folder.look() == {"0": ("1", "2"), "1": ("3",)}
    (folder.path / "0").unlink()
    assert folder.look() == {"1": ("3",)}


def test_a_change_within_one_tick_of_the_file_systems_clock_is_seen(folder: Folder) -> None:
    for job in range(100, 300):
        folder.write("0", f"{job}\n")
        assert folder.look() == {"0": (f"{job}",)}


def test_a_file_that_is_replaced_by_a_rename_is_seen(folder: Folder) -> None:
    for job in range(100, 150):
        folder.write(".new", f"{job}\n").rename(folder.path / "0")
        assert folder.look() == {"0": (f"{job}",)}


class Later:
    """A clock by which every file is old."""

    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        return time.time() + 60


def test_a_file_that_was_left_alone_for_long_is_read_again_when_it_changes(folder: Folder) -> None:
    folder.jobs = Jobs(folder.path, Later())
    folder.write("0", "1\n")
    assert folder.look() == folder.look() == {"0": ("1",)}
    folder.write("0", "1\n2\n")
    assert folder.look() == {"0": ("1", "2")}
    folder.write(".new", "3\n4\n").rename(folder.path / "0")
    assert folder.look() == {"0": ("3", "4")}


STRANGE = ["x", "-1", "+3", ".5", "1.", "1.2.3", "007", "1e5", "NaN", "0 ", "0\n", "\u0663", "evil\nname", "b\udcff"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_that_is_named_after_no_gpu_is_left_out(
    folder: Folder, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    folder.write(name, "1\n")
    folder.write("0", "2\n")
    assert folder.look() == folder.look() == {"0": ("2",)}
    (warning,) = warnings(caplog)
    assert ascii(name)[1:-1] in warning.encode("ascii", "backslashreplace").decode()
    assert "\n" not in warning


def test_many_strange_names_are_worth_one_line(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(50):
        folder.write(f"x{number}", "1\n")
        folder.look()
    assert len(warnings(caplog)) == 1


BAD = [
    (b"1\n\xff\n", "it is not UTF-8 text"),
    (b"1\n" * MOST_BYTES, f"it is larger than {MOST_BYTES} bytes"),
    ("\n".join(map(str, range(MOST_JOBS + 1))).encode(), f"it has more than {MOST_JOBS} jobs"),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_a_file_that_can_not_be_meant_is_left_out_with_one_line(
    folder: Folder, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    file = folder.write("0", content)
    folder.write("1", "2\n")
    assert folder.look() == folder.look() == {"1": ("2",)}
    assert warnings(caplog) == [f"HPC jobs: {file}: {reason}"]
    folder.write("0", "3\n")
    assert folder.look() == {"0": ("3",), "1": ("2",)}
    folder.write("0", content)
    folder.look()
    assert len(warnings(caplog)) == 2, "it had been mended"


def test_what_is_no_file_is_left_out_with_one_line(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    (folder.path / "0").mkdir()
    os.mkfifo(folder.path / "1")
    (folder.path / "2").symlink_to(folder.path / "2")
    (folder.path / "3").symlink_to(folder.path / "nowhere")
    folder.write("4", "5\n")
    assert folder.look() == folder.look() == {"4": ("5",)}
    reasons = [line.rpartition("/")[2] for line in warnings(caplog)]
    link = "it is a link, and links are not followed"
    assert reasons == ["0: it is not a regular file", "1: it is not a regular file", f"2: {link}", f"3: {link}"]
    assert folder.jobs.news().left_out == 4


def test_a_link_does_not_show_what_it_leads_to(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("root:password\n")
    (folder.path / "0").symlink_to(secret)
    assert folder.look() == {}


def test_a_file_that_becomes_a_link_or_a_pipe_between_two_looks_is_left_out(folder: Folder) -> None:
    folder.jobs = Jobs(folder.path, Later())
    file = folder.write("0", "1\n")
    assert folder.look() == {"0": ("1",)}
    file.unlink()
    os.mkfifo(file)
    assert folder.look() == {}
    file.unlink()
    file.symlink_to(folder.write("elsewhere", "2\n"))
    assert folder.look() == {}


def test_a_trouble_that_changes_is_logged_again(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    file = folder.write("0", b"\xff")
    folder.look()
    file.write_bytes(b"1\n" * MOST_BYTES)
    folder.look()
    assert [line.rpartition(": ")[2] for line in warnings(caplog)] == [BAD[0][1], BAD[1][1]]


def test_many_files_that_can_not_be_used_make_few_lines(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(500):
        (folder.path / str(number)).symlink_to("elsewhere")
    folder.look()
    folder.look()
    *named, rest = warnings(caplog)
    assert len(named) == MOST_NAMED
    assert rest == f"HPC jobs: {folder.path}: {500 - MOST_NAMED} more files can't be used"
    assert folder.jobs.news().left_out == 500


def test_more_jobs_than_can_be_meant_show_in_the_news(folder: Folder) -> None:
    folder.write("0", "\n".join(map(str, range(MOST_JOBS + 1))))
    folder.write("1", "2\n")
    assert folder.look() == {"1": ("2",)}
    assert folder.jobs.news().left_out == 1
    folder.write("0", "3\n")
    folder.look()
    assert folder.jobs.news().left_out == 0


def test_while_the_folder_hangs_the_news_stand_still_and_its_jobs_end(folder: Folder) -> None:
    clock = FakeClock()
    folder.jobs = Jobs(folder.path, clock)
    assert folder.jobs.news().read_at is None
    folder.write("0", "1\n")
    assert folder.look() == {"0": ("1",)}
    read_at = folder.jobs.news().read_at
    assert read_at == clock.time()
    clock.advance(STALE_AFTER_S - 1)
    assert folder.jobs.latest() == {"0": ("1",)}
    clock.advance(1)
    assert folder.jobs.latest() == {}
    assert folder.jobs.news().read_at == read_at
    assert folder.look() == {"0": ("1",)}


def test_a_folder_that_can_not_be_read_is_not_read(folder: Folder) -> None:
    folder.jobs = Jobs(folder.path / "missing")
    folder.look()
    assert folder.jobs.news() == (None, 1)


def test_a_missing_folder_is_waited_for(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    missing = folder.path / "missing"
    folder.jobs = Jobs(missing)
    assert folder.look() == folder.look() == {}
    assert warnings(caplog) == [f"HPC jobs: {missing}: can't read the directory: No such file or directory"]
    missing.mkdir()
    (missing / "0").write_text("1\n")
    assert folder.look() == {"0": ("1",)}


def test_a_folder_that_vanishes_takes_its_jobs_along(folder: Folder) -> None:
    folder.jobs = Jobs(folder.path / "jobs")
    (folder.path / "jobs").mkdir()
    (folder.path / "jobs" / "0").write_text("1\n")
    assert folder.look() == {"0": ("1",)}
    (folder.path / "jobs").rename(folder.path / "old")
    assert folder.look() == {}


def test_what_was_taken_once_does_not_change_afterwards(folder: Folder) -> None:
    folder.write("0", "1\n")
    folder.jobs.look()
    before = folder.jobs.latest()
    folder.write("0", "2\n")
    folder.jobs.look()
    assert before == {"0": ("1",)}


def test_a_thread_follows_the_folder_until_it_is_stopped(folder: Folder) -> None:
    folder.jobs.start()
    folder.write("0", "1\n")
    until(lambda: folder.jobs.latest() == {"0": ("1",)})
    folder.write("0", "2\n")
    until(lambda: folder.jobs.latest() == {"0": ("2",)})
    folder.jobs.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "hpc jobs"]


def test_following_that_never_began_can_be_stopped(folder: Folder) -> None:
    folder.jobs.stop()
    assert folder.jobs.latest() == {}


@given(st.text(max_size=100))
def test_any_text_is_jobs(text: str) -> None:
    jobs = parse_jobs(text.encode())
    assert len(set(jobs)) == len(jobs)
    assert all(job and job == job.strip() and "\n" not in job for job in jobs)
    assert parse_jobs("\n".join(jobs).encode()) == jobs


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_have_a_reason(content: bytes) -> None:
    with suppress(ValueError):
        parse_jobs(content)


@given(st.lists(st.from_regex(r"[A-Za-z0-9_.\[\]-]{1,20}", fullmatch=True), max_size=20, unique=True))
def test_ids_that_schedulers_give_come_through(ids: list[str]) -> None:
    assert parse_jobs("".join(f"{job}\n" for job in ids).encode()) == tuple(ids)

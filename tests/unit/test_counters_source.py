import os
from pathlib import Path

import pytest

from exporter.counters_source import (
    CountersConfigMap,
    CountersFile,
    CountersText,
    find_counters_file,
)
from exporter.errors import ConfigError
from exporter.user_file import MIB


def refusal(file: CountersFile) -> str:
    with pytest.raises(ConfigError) as caught:
        file.read()
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "counters.csv"
    path.write_text("old", encoding="utf-8")
    return path


@pytest.fixture
def file(path: Path) -> CountersFile:
    """Return a file that was read once."""
    file = CountersFile(path)
    assert file.read() == "old"
    assert not file.changed()
    return file


def test_a_file_is_called_by_its_path(path: Path) -> None:
    assert CountersFile(path).name == str(path)


def test_a_file_rewritten_in_place_has_changed_until_it_is_read(path: Path, file: CountersFile) -> None:
    path.write_text("new and longer", encoding="utf-8")
    assert file.changed()
    assert file.changed()
    assert file.read() == "new and longer"
    assert not file.changed()


def test_a_file_with_the_size_and_the_times_of_the_old_one_has_changed(path: Path, file: CountersFile) -> None:
    before = path.stat()
    path.write_text("new", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.changed()


def test_a_file_renamed_over_the_old_one_has_changed(path: Path, file: CountersFile) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text("new", encoding="utf-8")
    fresh.replace(path)
    assert file.changed()
    assert file.read() == "new"


def test_a_touched_file_has_not_changed(path: Path, file: CountersFile) -> None:
    os.utime(path, (1, 1))
    assert not file.changed()


def test_a_mounted_config_map_changes_when_the_kubelet_swaps_its_folder(tmp_path: Path) -> None:
    for folder, text in (("..first", "old"), ("..second", "new")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "counters.csv").write_text(text, encoding="utf-8")
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "counters.csv").symlink_to("..data/counters.csv")
    file = CountersFile(tmp_path / "counters.csv")
    assert file.read() == "old"
    (tmp_path / "..data_tmp").symlink_to("..second")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert file.changed()
    assert file.read() == "new"


def test_a_file_that_vanished_has_changed_once_and_again_when_it_is_back(path: Path, file: CountersFile) -> None:
    path.unlink()
    assert file.changed()
    assert "No such file" in refusal(file)
    assert not file.changed()
    path.write_text("old", encoding="utf-8")
    assert file.changed()


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    assert refusal(CountersFile(path)) == f"{path}: can't read the counters file: No such file or directory"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(CountersFile(tmp_path)) == f"{tmp_path}: it is not a regular file; give the path of a counters file"


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(CountersFile(tmp_path / "pipe"))


def test_a_file_that_fails_while_it_is_read_is_refused() -> None:
    assert refusal(CountersFile(Path("/proc/self/mem"))).endswith("Input/output error")


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    assert refusal(CountersFile(path / "counters.csv")).endswith("Not a directory")


def test_a_file_of_another_encoding_is_refused_with_the_line(path: Path) -> None:
    path.write_bytes("# first\nDCGM_FI_DEV_GPU_TEMP, gauge, Wärme".encode("latin-1"))
    assert refusal(CountersFile(path)) == f"{path}:2: it is not UTF-8 text; save the file as UTF-8"


def test_a_huge_file_is_refused(path: Path) -> None:
    path.write_bytes(b"#" * (MIB + 1))
    assert "at most 1 MiB" in refusal(CountersFile(path))
    path.write_bytes(b"#" * MIB)
    assert len(CountersFile(path).read()) == MIB


def test_a_config_map_is_read_anew_each_time_and_never_changes_by_itself() -> None:
    answers = iter(["old", "new"])
    source = CountersConfigMap("gpu", "counters", lambda *names: f"{names} {next(answers)}")
    assert source.name == "ConfigMap gpu:counters"
    assert source.read() == "('gpu', 'counters') old"
    assert not source.changed()
    assert source.read() == "('gpu', 'counters') new"


def test_fixed_text_is_given_back_and_never_changes() -> None:
    source = CountersText("config.yaml: metrics.fields", "text")
    assert (source.name, source.read(), source.changed()) == ("config.yaml: metrics.fields", "text", False)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Make an empty folder for installed files and one with a packaged file."""
    folders = {"installed": tmp_path / "installed", "packaged": tmp_path / "packaged"}
    for folder in folders.values():
        folder.mkdir()
    (folders["packaged"] / "default-counters.csv").write_text("packaged", encoding="utf-8")
    return folders


def test_an_installed_file_is_used(folders: dict[str, Path]) -> None:
    path = folders["installed"] / "default-counters.csv"
    path.write_text("installed", encoding="utf-8")
    found = find_counters_file(path, is_given=True, **folders)
    assert (found.file.read(), found.warning) == ("installed", None)


def test_the_packaged_file_is_used_for_a_default_that_does_not_exist(folders: dict[str, Path]) -> None:
    path = folders["installed"] / "default-counters.csv"
    found = find_counters_file(path, is_given=False, **folders)
    assert (found.file.read(), found.warning) == ("packaged", None)


def test_the_packaged_file_is_used_with_a_warning_where_its_installed_one_was_named(
    folders: dict[str, Path],
) -> None:
    path = folders["installed"] / "default-counters.csv"
    found = find_counters_file(path, is_given=True, **folders)
    assert found.file.read() == "packaged"
    assert found.warning == f"{path} does not exist; the exporter's packaged file of the same name is used"


def test_a_missing_folder_of_installed_files_is_as_good_as_an_empty_one(folders: dict[str, Path]) -> None:
    folders["installed"].rmdir()
    path = folders["installed"] / "default-counters.csv"
    assert find_counters_file(path, is_given=False, **folders).file.read() == "packaged"


@pytest.mark.parametrize("relative", ["installed/other.csv", "elsewhere/default-counters.csv"])
def test_no_other_missing_file_is_replaced(tmp_path: Path, folders: dict[str, Path], relative: str) -> None:
    found = find_counters_file(tmp_path / relative, is_given=True, **folders)
    assert found.file.name == str(tmp_path / relative)
    assert "No such file" in refusal(found.file)


def test_a_dangling_link_is_an_error_and_not_a_reason_to_fall_back(folders: dict[str, Path]) -> None:
    path = folders["installed"] / "default-counters.csv"
    path.symlink_to("nowhere.csv")
    assert "No such file" in refusal(find_counters_file(path, is_given=False, **folders).file)

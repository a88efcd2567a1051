import os
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.user_file import MIB, read_bytes, read_text


def refusal(path: str | Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_text(path, "list")
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.txt"


def test_a_file_is_its_text(path: Path) -> None:
    path.write_text("tempo più veloce", encoding="utf-8")
    assert read_text(path, "list") == "tempo più veloce"


def test_what_can_not_be_read_is_named_with_the_reason(path: Path) -> None:
    assert refusal(path) == f"{path}: can't read the list: No such file or directory"
    assert refusal(f"{path}/below") == f"{path}/below: can't read the list: No such file or directory"
    assert refusal("/" + "x" * 5000).endswith("File name too long")
    path.symlink_to(path)
    assert refusal(path).endswith("Too many levels of symbolic links")


def test_a_name_with_a_nul_is_refused() -> None:
    assert "can't read the list: its name contains a NUL" in refusal("a\0b")


def test_a_folder_a_pipe_and_a_device_are_refused_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    for other in (path, path.parent, Path("/dev/zero")):
        assert refusal(other) == f"{other}: it is not a regular file; give the path of a list"


def test_a_link_is_followed(path: Path) -> None:
    path.with_name("real").write_text("text")
    path.symlink_to("real")
    assert read_text(path, "list") == "text"


def test_a_file_has_a_largest_size(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 << 30)  # 5 GiB that take no room
    assert refusal(path) == f"{path}: a list may have at most 1 MiB"
    os.truncate(path, MIB)
    assert read_bytes(path, "list") == bytes(MIB)


def test_what_is_no_text_is_named_with_its_line(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n\xff")
    assert refusal(path) == f"{path}:3: it is not UTF-8 text; save the file as UTF-8"
    path.write_bytes("one\n".encode("utf-16"))
    assert "it is not UTF-8 text" in refusal(path)
    path.write_bytes(b"one\n\0")
    assert refusal(path) == f"{path}:2: it contains a NUL character; save the file as UTF-8 text"

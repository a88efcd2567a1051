from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.server.web_config.files import FilesRead


def mount(folder: Path, content: str) -> None:
    """Change a file as kubelet changes those of a mounted Secret: by a link to another folder."""
    version = folder / f"version-{content}"
    version.mkdir()
    (version / "file").write_text(content)
    link = folder / "..new"
    link.symlink_to(version)
    link.rename(folder / "..data")


def test_change_behind_a_swapped_link_is_seen(tmp_path: Path) -> None:
    mount(tmp_path, "one")
    (tmp_path / "file").symlink_to("..data/file")
    files = FilesRead()
    assert files.read(tmp_path / "file", "file") == b"one"
    assert not files.have_changed()
    mount(tmp_path, "two")
    assert files.have_changed()


def test_file_that_could_not_be_read_is_watched_too(tmp_path: Path) -> None:
    files = FilesRead()
    with pytest.raises(ConfigError, match="can't read the PEM file"):
        files.read(tmp_path / "file", "PEM file")
    assert not files.have_changed()
    (tmp_path / "file").write_text("now")
    assert files.have_changed()


def test_touched_file_has_not_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("same")
    files = FilesRead()
    files.read(tmp_path / "file", "file")
    (tmp_path / "file").write_text("same")
    assert not files.have_changed()

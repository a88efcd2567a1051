"""Fetching schemas, with a `go` that knows one module."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.build import BuildFailed, GoMissing
from tests.tools.schemas import MODULES, Module, fetch_schemas

FAKE_GO = """#!/bin/sh
echo "$*" >> {folder}/calls
case "$*" in
*broken*) echo '{{"Error": "not found"}}'; exit 1;;
esac
echo '{{"Dir": "{folder}/module", "Sum": "h1:good="}}'
"""
ONE = Module("example.com/one", "v1.2.3", "h1:good=", {"one.yaml": "crds/one.yaml"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH and a cache of their own, and a module that is there."""
    source = tmp_path / "module" / "crds" / "one.yaml"
    source.parent.mkdir(parents=True)
    source.write_text("kind: One")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO.format(folder=tmp_path))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GPU_METRICS_EXPORTER_TOOLS", str(tmp_path / "cache"))
    return tmp_path


def test_a_schema_is_fetched_once_and_kept(folder: Path) -> None:
    kept = fetch_schemas((ONE,))
    assert fetch_schemas((ONE,)) == kept
    assert (kept / "one.yaml").read_text() == "kind: One"
    assert (folder / "calls").read_text().splitlines() == ["mod download -json example.com/one@v1.2.3"]


def test_a_module_with_another_checksum_is_refused(folder: Path) -> None:
    with pytest.raises(BuildFailed, match="has the checksum h1:good=, not h1:bad="):
        fetch_schemas((ONE, replace(ONE, checksum="h1:bad=")))
    assert not list((folder / "cache").glob("schemas-*"))


def test_a_module_that_nobody_has_is_named(folder: Path) -> None:
    with pytest.raises(BuildFailed, match=r"example\.com/broken@v1\.2\.3 can't be fetched: not found"):
        fetch_schemas((replace(ONE, path="example.com/broken"),))
    assert not list((folder / "cache").glob("schemas-*"))


def test_without_go_one_sentence_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder / "nowhere"))
    with pytest.raises(GoMissing, match="schemas must be fetched, and there is no `go`"):
        fetch_schemas((ONE,))


def test_every_module_is_pinned() -> None:
    assert all(module.checksum.startswith("h1:") and module.version.startswith("v") for module in MODULES)

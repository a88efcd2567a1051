"""What there is to build: a folder beside this file is a group, one Go module whose `tool` lines are its binaries.

A group's go.mod and go.sum pin everything; an optional group.toml says what go.mod can not: names for the binaries,
build tags, version stamps.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GROUP_FILES = ("go.mod", "go.sum", "group.toml", "main.go")


class UnknownGroup(Exception):
    """Nobody has such a group."""


@dataclass(frozen=True, slots=True)
class Group:
    """One Go module and what is built from it."""

    name: str
    folder: Path
    packages: Mapping[str, str]  # binary: the Go package that it is built from
    tags: str
    ldflags: str
    digest: str  # changes with anything that goes into the binaries, but not with Go's own version


def read_groups(names: tuple[str, ...] = ()) -> tuple[Group, ...]:
    """Return the groups of these names, all of them if none is named."""
    known = {path.parent.name: path.parent for path in sorted(HERE.glob("*/go.mod"))}
    for name in names:
        if name not in known:
            raise UnknownGroup(f"{name} is no group of {HERE}; there are {', '.join(known)}")
    return tuple(_read_group(known[name]) for name in names or known)


def _read_group(folder: Path) -> Group:
    go_mod = (folder / "go.mod").read_text()
    file = folder / "group.toml"
    extra: dict[str, Any] = tomllib.loads(file.read_text()) if file.exists() else {}
    names = extra.get("names", {})
    contents = [(folder / name).read_bytes() for name in GROUP_FILES if (folder / name).exists()]
    return Group(
        name=folder.name,
        folder=folder,
        packages={names.get(package, default_name(package)): package for package in parse_tools(go_mod)},
        tags=",".join(extra.get("tags", ())),
        ldflags=" ".join(["-s -w", *_version_stamps(extra.get("version", {}), go_mod)]),
        digest=hashlib.sha256(b"\0".join(contents)).hexdigest()[:16],
    )


def parse_tools(go_mod: str) -> tuple[str, ...]:
    """Return the packages of go.mod's tool lines, alone or in a block."""
    block = re.search(r"^tool \(\n(.*?)^\)", go_mod, re.MULTILINE | re.DOTALL)
    lines = block[1].splitlines() if block else re.findall(r"^tool (\S+)", go_mod, re.MULTILINE)
    return tuple(line.strip() for line in lines)


def default_name(package: str) -> str:
    """Return the name that Go gives to a package's binary: its last element that is no major version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


def _version_stamps(stamp: Mapping[str, Any], go_mod: str) -> list[str]:
    if not stamp:
        return []
    found = re.search(rf"\b{re.escape(stamp['module'])} (v(\d+)\.(\d+)\S*)", go_mod)
    if found is None:
        raise UnknownGroup(f"go.mod does not require {stamp['module']}, whose version group.toml asks for")
    version, major, minor = found.groups()
    values = {"version": version, "major": major, "minor": minor}
    return [f"-X {variable}={text.format(**values)}" for variable, text in stamp["variables"].items()]

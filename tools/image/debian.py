"""The Debian root that replaces the Dockerfile's base image, so that no registry is needed.

It comes from Debian's own packages, less what Debian's slim images leave out.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tools.image.programs import NotBuilt, run

_BASE = re.compile(
    r"^ARG BASE=docker\.io/library/(debian:([a-z]+)-(\d{8})-slim)@sha256:[0-9a-f]{64}$", flags=re.MULTILINE
)
_ACCEPTED = "ARG BASE=docker.io/library/debian:SUITE-YYYYMMDD-slim@sha256:DIGEST"
_MIRROR, _SECURITY_MIRROR = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
_LEFT_OUT = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
_NAME_USERS = 'for name in passwd group; do cp "$1/usr/share/base-passwd/$name.master" "$1/etc/$name"; done'
_KEPT = "/usr/share/doc/*/copyright"
_LIST_PACKAGES = (
    'for file in "$1"/var/cache/apt/archives/*.deb; do'
    ' dpkg-deb --field "$file"; echo "Status: install ok unpacked"; echo; done >"$1/var/lib/dpkg/status"'
)
_UNPACKED = (
    "--include=?essential",
    "--include=python3,libstdc++6",  # the latter is what wheels want; elsewhere it comes with apt
    f"--extract-hook={_LIST_PACKAGES}",
    f"--customize-hook={_NAME_USERS}",
)
_FORGET_THIS_MACHINE = 'rm "$1/etc/hostname" "$1/etc/resolv.conf"'


@dataclass(frozen=True, slots=True)
class DebianBase:
    """What the Dockerfile builds on; `epoch` is the date in its tag, in seconds since 1970."""

    tag: str
    suite: str
    epoch: int


def parse_base(dockerfile: str) -> DebianBase:
    """Return the base that a Dockerfile pins by tag and digest.

    Raises:
        NotBuilt: It pins none, or one that can't be made from Debian's packages.
    """
    found = _BASE.search(dockerfile)
    if found is None:
        raise NotBuilt(f"the Dockerfile has no line of the form {_ACCEPTED}")
    tag, suite, date = found.groups()
    return DebianBase(tag, suite, int(datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC).timestamp()))


def make_root(base: DebianBase, target: Path, foreign: str = "") -> None:
    """Write the root of such an image, of the packages that Debian has today, as a tar file.

    `foreign` is another architecture than this machine's. Its packages are unpacked and not set up, since their scripts
    can't run here, and Python is among them.
    """
    slim = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    sources = (
        f"deb {_MIRROR} {base.suite} main",
        f"deb {_MIRROR} {base.suite}-updates main",
        f"deb {_SECURITY_MIRROR} {base.suite}-security main",
    )
    slim += [f"--dpkgopt=path-include={_KEPT}", f"--customize-hook={_FORGET_THIS_MACHINE}"]
    kind = (f"--architectures={foreign}", "--variant=extract", *_UNPACKED) if foreign else ("--variant=minbase",)
    options = ("--quiet", *kind, *slim)
    run("mmdebstrap", *options, base.suite, str(target), *sources, settings={"SOURCE_DATE_EPOCH": str(base.epoch)})

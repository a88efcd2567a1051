"""What a release has beside the packages: the bill of materials, read from an image, and checksums."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tools.release.__main__ import checksums
from tools.release.bill import bill_of_materials

DPKG = "Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\nDescription: a\n b\n\n"
PYTHON = "Metadata-Version: 2.4\nName: tornado\nVersion: 6.6.1\n\nVersion: no header\n"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def image_of(path: Path, *layers: Mapping[str, str]) -> Path:
    """Write an image as OCI has it."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> str:
        digest = sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return f"sha256:{digest}"

    made = [blob(tar_of({name: text.encode() for name, text in layer.items()})) for layer in layers]
    manifest = blob(json.dumps({"layers": [{"digest": one} for one in made]}).encode())
    index = json.dumps({"manifests": [{"digest": manifest}]}).encode()
    path.write_bytes(tar_of({"index.json": index, **blobs}))
    return path


def test_the_bill_has_the_debian_and_python_packages_that_are_in_the_image(tmp_path: Path) -> None:
    libc, python = DPKG.format(name="libc6", version="2.41-12"), DPKG.format(name="python3", version="3.13.5-1")
    image = image_of(
        tmp_path / "image.tar",
        {"./var/lib/dpkg/status": libc, "etc/passwd": ""},
        {"var/lib/dpkg/status": libc + python},
        {"usr/local/lib/python3.13/dist-packages/tornado-6.6.1.dist-info/METADATA": PYTHON},
    )
    bill = json.loads(bill_of_materials(image))
    assert bill["bomFormat"] == "CycloneDX"
    assert sorted(one["purl"] for one in bill["components"]) == [
        "pkg:deb/debian/libc6@2.41-12?arch=arm64",
        "pkg:deb/debian/python3@3.13.5-1?arch=arm64",
        "pkg:pypi/tornado@6.6.1",
    ]


def test_an_image_without_a_list_of_packages_has_no_bill(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no layer has /var/lib/dpkg/status"):
        bill_of_materials(image_of(tmp_path / "image.tar", {"etc/passwd": ""}))


def test_checksums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "alerts.yaml").write_text("groups: []\n")
    (tmp_path / "one.whl").write_bytes(b"\0")
    (tmp_path / "SHA256SUMS").write_text("".join(checksums(tmp_path)))
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "one.whl").write_bytes(b"\1")
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode != 0

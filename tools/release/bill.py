"""The software bill of materials of an image: the Debian and the Python packages that are in it, as CycloneDX 1.6."""

import json
import re
import tarfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from exporter import __version__

_DPKG_STATUS = re.compile(r"(\./)?var/lib/dpkg/status")
_METADATA = re.compile(r"(\./)?usr/local/lib/python3\.\d+/dist-packages/[^/]+\.dist-info/METADATA")


def bill_of_materials(image: Path) -> str:
    """Return the bill of an OCI archive as JSON.

    Raises:
        LookupError: The image has no list of Debian packages.
    """
    status, metadata = _package_lists(image)
    image_itself = Component(name="gpu-metrics-exporter", version=__version__, type=ComponentType.CONTAINER)
    bill = Bom(components=(*debian_packages(status), *map(python_package, metadata)))
    bill.metadata.component = image_itself
    bill.register_dependency(image_itself, bill.components)
    return JsonV1Dot6(bill).output_as_string(indent=1)


def debian_packages(status: str) -> Iterator[Component]:
    """Yield the packages that dpkg's status file has."""
    for paragraph in status.strip().split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        yield _component("deb", fields, namespace="debian", arch=fields["Architecture"])


def python_package(metadata: str) -> Component:
    """Return the package that a METADATA file is of."""
    return _component("pypi", HeaderParser().parsestr(metadata))


def _component(kind: str, fields: Message, namespace: str | None = None, **qualifiers: str) -> Component:
    name = fields["Package"] or fields["Name"]
    url = PackageURL(kind, namespace, name, fields["Version"], qualifiers)
    return Component(name=name, version=fields["Version"], purl=url, bom_ref=str(url))


def _package_lists(image: Path) -> tuple[str, list[str]]:
    """Return dpkg's status file as the newest layer has it, and the METADATA of all Python packages."""
    status, metadata = "", []
    with tarfile.open(image) as archive:
        for layer in _layers(archive):
            for member in layer:
                if _DPKG_STATUS.fullmatch(member.name):
                    status = _text(layer, member.name)
                elif _METADATA.fullmatch(member.name):
                    metadata.append(_text(layer, member.name))
    if not status:
        raise LookupError(f"{image}: no layer has /var/lib/dpkg/status")
    return status, metadata


def _layers(archive: tarfile.TarFile) -> Iterator[tarfile.TarFile]:
    """Yield an image's layers, the lowest first."""
    [entry] = json.loads(_text(archive, "index.json"))["manifests"]
    manifest: dict[str, Any] = json.loads(_text(archive, _blob(entry)))
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=archive.extractfile(_blob(layer))) as opened:
            yield opened


def _blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    if file is None:
        raise LookupError(f"{name} is no file")
    return file.read().decode()

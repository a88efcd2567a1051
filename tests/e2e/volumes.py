"""A pod's volumes as folders, written as kubelet writes them: all files of a volume change at once."""

import base64
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.api import Api, ApiError, Object

Files = Mapping[str, bytes]

_TOKEN_S = 3600


class VolumeMissing(Exception):
    """Something that a volume is made of is not there yet."""


class Volumes:
    """The volumes of one pod, below one folder; `refresh` takes over what has changed in the API."""

    def __init__(self, api: Api, pod: Object, folder: Path, host: Path) -> None:
        self._api = api
        self._pod = pod
        self._folder = folder
        self._host = host
        self._token: bytes | None = None
        self._written: dict[str, Files] = {}

    def source(self, name: str) -> Path:
        """Return the folder, or the file, of a volume."""
        volume = self._named(name)
        return self._host / volume["hostPath"]["path"].lstrip("/") if "hostPath" in volume else self._folder / name

    def refresh(self) -> None:
        """Write what is new.

        Raises:
            VolumeMissing: Something is not there yet.
        """
        for volume in self._pod["spec"].get("volumes", ()):
            if "hostPath" in volume:
                self.source(volume["name"]).mkdir(parents=True, exist_ok=True)
            elif "emptyDir" in volume:
                self._make_empty(self._folder / volume["name"])
            else:
                self._write(volume["name"], self._files(volume))

    def _named(self, name: str) -> Object:
        found: Object = next(volume for volume in self._pod["spec"]["volumes"] if volume["name"] == name)
        return found

    def _make_empty(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)

    def _write(self, name: str, files: Files) -> None:
        if self._written.get(name) != files:
            write_at_once(self._folder / name, files)
            self._written[name] = files

    def _files(self, volume: Object) -> Files:
        if "projected" in volume:
            found: dict[str, bytes] = {}
            for source in volume["projected"].get("sources", ()):
                found |= self._source_files(source)
            return found
        return self._source_files(volume)

    def _source_files(self, source: Object) -> Files:
        if "configMap" in source:
            return self._object_files("configmaps", source["configMap"])
        if "secret" in source:
            return self._object_files("secrets", source["secret"])
        if "downwardAPI" in source:
            items = source["downwardAPI"].get("items", ())
            return {item["path"]: field_of(self._pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: self._service_account_token()}
        raise NotImplementedError(f"a volume of {', '.join(source)}")

    def _object_files(self, kind: str, source: Object) -> Files:
        name = source.get("name") or source.get("secretName")
        try:
            content = self._api.get(f"/api/v1/namespaces/{self._namespace}/{kind}/{name}")
        except ApiError as error:
            if error.code == 404 and source.get("optional"):
                return {}
            raise VolumeMissing(str(error)) from None
        files = {key: base64.b64decode(value) for key, value in content.get("binaryData", {}).items()}
        for key, value in content.get("data", {}).items():
            files[key] = base64.b64decode(value) if kind == "secrets" else value.encode()
        items = source.get("items")
        return {item["path"]: files[item["key"]] for item in items} if items else files

    def _service_account_token(self) -> bytes:
        if self._token is None:
            meta = self._pod["metadata"]
            bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
            account = self._pod["spec"]["serviceAccountName"]
            answer = self._api.create(
                f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{account}/token",
                {"spec": {"expirationSeconds": _TOKEN_S, "boundObjectRef": bound}},
            )
            self._token = answer["status"]["token"].encode()
        return self._token

    @property
    def _namespace(self) -> str:
        name: str = self._pod["metadata"]["namespace"]
        return name


def write_at_once(folder: Path, files: Files) -> None:
    """Replace all files of a folder by others, so that a reader sees the old ones or the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"..{time.monotonic_ns()}"
    for name, content in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(content)
    new.mkdir(exist_ok=True)
    current = folder / "..data"
    old = folder / current.readlink() if current.is_symlink() else None
    (folder / "..data_new").symlink_to(new.name)
    (folder / "..data_new").rename(current)
    tops = {name.partition("/")[0] for name in files}
    for name in tops - {path.name for path in folder.iterdir()}:
        (folder / name).symlink_to(f"..data/{name}")
    _remove(path for path in folder.iterdir() if not path.name.startswith("..") and path.name not in tops)
    if old is not None:
        shutil.rmtree(old)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def field_of(pod: Object, path: str) -> str:
    """Return what a fieldRef means: spec.nodeName, metadata.labels['app'], status.podIP and so on."""
    name, bracket, key = path.partition("['")
    found: Any = pod
    for part in name.split("."):
        found = found.get(part, {})
    return str(found.get(key.removesuffix("']"), "") if bracket else found or "")

"""ConfigMaps, read once by one request."""

from pathlib import Path
from urllib.parse import quote

from exporter.errors import ConfigError, ExporterError, KubeError
from exporter.kube.connection import GARBAGE, connect, no_api_server


def read_config_map(namespace: str, name: str, key: str = "metrics", kubeconfig: Path | None = None) -> str:
    """Return the text under one key of a ConfigMap.

    Args:
        namespace: The ConfigMap's namespace.
        name: The ConfigMap's name.
        key: The key in its data.
        kubeconfig: How to reach the API server; without it the pod's service account, or outside of a cluster
            KUBECONFIG or ~/.kube/config.

    Raises:
        ConfigError: No way to the API server is configured, or the ConfigMap does not exist, may not be read
            or has no such key.
        KubeError: The API server can't be reached or does not work; trying again later may help.
    """
    what = f"ConfigMap {namespace}:{name}"
    try:
        texts = _texts(f"/api/v1/namespaces/{quote(namespace)}/configmaps/{quote(name)}", kubeconfig)
    except ExporterError as error:
        raise _explained(what, error) from None
    if key not in texts:
        keys = ", ".join(sorted(texts)) or "none"
        raise ConfigError(f"{what}: it has no key {key!r}; its keys: {keys}")
    return texts[key]


def _texts(path: str, kubeconfig: Path | None) -> dict[str, str]:
    with connect(kubeconfig) as server:
        answer = server.get(path)
        try:
            texts = dict(answer.get("data") or {})
        except GARBAGE:
            raise no_api_server(server.host) from None
        if not all(isinstance(text, str) for text in texts.values()):
            raise no_api_server(server.host)
        return texts


def _explained(what: str, error: ExporterError) -> ExporterError:
    if not isinstance(error, KubeError):
        return ConfigError(f"{what}: {error}")
    match error.status:
        case 404:
            return ConfigError(f"{what}: it does not exist")
        case 401 | 403:
            return ConfigError(f"{what}: not permitted to read it; grant the service account get on it")
        case _:
            return KubeError(f"{what}: {error}", error.status)

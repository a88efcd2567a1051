"""A connection to the API server: where it is and who we are, requests, and its refusals in one sentence each.

It knows paths and JSON, and nothing of what the objects mean.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exporter.errors import AnswerTooLarge, ConfigError, KubeError, MissingExtra

CONNECT_S = 5.0
"""How long connecting may take. Nothing is tried again here."""

ANSWER_S = 5.0
"""How long an API server may be silent before and within an answer."""

JSON = "application/json"

MOST_BYTES = 32 << 20
"""The largest answer that is read: 64 KiB for each of 500 objects."""

LONGEST_LINE = 8 << 20
"""The longest line of an endless answer; etcd takes no object of more than 1.5 MiB."""

GARBAGE = (LookupError, ValueError, TypeError, AttributeError)
"""What an answer or a kubeconfig of another shape ends in; the client library checks neither."""

Query = tuple[tuple[str, str], ...]

_GOOD = (HTTPStatus.OK, HTTPStatus.CREATED)
_CHUNK = 1 << 16
_LONGEST_MESSAGE = 300


class Lines:
    """The lines of an answer that has no end of its own.

    Attributes:
        fell_silent: Whether they ended because nothing came for too long.
    """

    def __init__(self, response: Any, host: str) -> None:
        self.fell_silent = False
        self._response = response
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        """Yield whole lines as they come, until the answer ends, breaks off, is silent for too long or is stopped.

        Raises:
            KubeError: A line has no end.
        """
        rest = b""
        while chunk := self._read():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > LONGEST_LINE:
                raise no_api_server(self._host)

    def stop(self) -> None:
        """End the iteration, which may be waiting in another thread."""
        with suppress(OSError, RuntimeError, ValueError):  # it has ended by itself
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection that the answer comes by."""
        self._response.close()

    def _read(self) -> bytes:
        from urllib3.exceptions import HTTPError, ReadTimeoutError  # noqa: PLC0415

        try:
            return bytes(self._response.read1(_CHUNK))
        except ReadTimeoutError:
            self.fell_silent = True
            return b""
        except (HTTPError, OSError):
            return b""


class ApiServer:
    """The API server as one user sees it. To be used by one thread, and closed."""

    def __init__(self, configuration: Any) -> None:
        from kubernetes.client import ApiClient  # noqa: PLC0415

        self.host = str(configuration.host)
        self._client: Any = ApiClient(configuration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections that are idle."""
        self._client.close()

    def get(self, path: str, query: Query = (), accept: str = JSON) -> Any:
        """Return what an answer's JSON says, but for `managedFields`, the largest part of an object that nobody reads.

        Raises:
            AnswerTooLarge: The answer is larger than MOST_BYTES.
            KubeError: There is no such answer.
            ConfigError: TLS fails.
        """
        return self._parsed(self._ask(path, query, accept, ANSWER_S))

    def create(self, path: str, entry: Any) -> Any:
        """Send an object to be created, and return what the API server has made of it.

        Raises:
            KubeError: It was not created.
            ConfigError: TLS fails.
        """
        return self._parsed(self._ask(path, (), JSON, ANSWER_S, entry))

    def text(self, path: str, query: Query = ()) -> str:
        """Return what an answer says, of whatever kind: that of a pod or a Service which the API server leads to.

        Raises:
            AnswerTooLarge: The answer is larger than MOST_BYTES.
            KubeError: There is no such answer.
            ConfigError: TLS fails.
        """
        answer = self._ask(path, query, "*/*", ANSWER_S)
        try:
            return self._read(answer, MOST_BYTES).decode("utf-8", "replace")
        finally:
            answer.close()

    def stream(self, path: str, query: Query, accept: str, silence_s: float) -> Lines:
        """Ask for a streamed answer, and return it as soon as it begins.

        Args:
            path: The resource's.
            query: The parameters.
            accept: The wanted form.
            silence_s: The longest silence before it and in it.

        Raises:
            KubeError: There is no such answer.
            ConfigError: TLS fails.
        """
        return Lines(self._ask(path, query, accept, silence_s), self.host)

    def _parsed(self, answer: Any) -> Any:
        try:
            return parse_json(self._read(answer, MOST_BYTES))
        except GARBAGE:
            raise no_api_server(self.host) from None
        finally:
            answer.close()

    def _ask(self, path: str, query: Query, accept: str, silence_s: float, entry: Any = None) -> Any:
        from kubernetes.client import ApiException  # noqa: PLC0415
        from kubernetes.config import ConfigException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        header = {"Accept": accept} if entry is None else {"Accept": accept, "Content-Type": JSON}
        try:
            request = self._client.param_serialize(
                "GET" if entry is None else "POST",
                path,
                query_params=list(query),
                header_params=header,
                body=entry,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=(CONNECT_S, silence_s)).response
        except ApiException as error:  # all that the library makes one of is a failed handshake
            raise ConfigError(f"TLS with the API server failed: {sentence(error.reason)}") from None
        except ConfigException as error:
            raise ConfigError(f"can't read the service account's token: {sentence(error)}") from None
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        if answer.status not in _GOOD:
            try:
                raise self._refusal(answer)
            finally:
                answer.close()
        return answer

    def _read(self, answer: Any, most_bytes: int) -> bytes:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            body = bytes(answer.read(most_bytes + 1))
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        if len(body) > most_bytes:
            raise AnswerTooLarge(f"{self.host} answered with more than {most_bytes >> 20} MiB")
        return body

    def _refusal(self, answer: Any) -> KubeError:
        try:
            message = ": " + sentence(parse_json(self._read(answer, _CHUNK))["message"])
        except (KubeError, *GARBAGE):
            message = ""
        said = f"{answer.status} {sentence(answer.reason)}{message}"
        return KubeError(f"the API server answered {said}", answer.status)

    def _unreachable(self, error: Exception) -> KubeError:
        return KubeError(f"{self.host} is not reachable: {sentence(error)}")


def need_client() -> None:
    """Do nothing where the Kubernetes client is installed, which is an extra of this package.

    Raises:
        MissingExtra: It is not.
    """
    if find_spec("kubernetes") is None:
        raise MissingExtra("this needs the API server, but the Kubernetes client is not installed", "kubernetes")


def connect(kubeconfig: Path | None = None) -> ApiServer:
    """Prepare to talk to the API server; the first request connects.

    Args:
        kubeconfig: How to reach it; without one the pod's service account, or outside of a cluster KUBECONFIG or
            ~/.kube/config.

    Raises:
        ConfigError: The client is not installed, or no way to the API server is configured.
    """
    need_client()
    from kubernetes import client, config  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    loader: Any = config  # newer releases are typed, in part
    configuration = client.Configuration()
    no_account = ""
    try:
        if kubeconfig is None:
            try:
                loader.load_incluster_config(configuration)
            except config.ConfigException as error:
                no_account = f"; no service account: {sentence(error)}"
                loader.load_kube_config(client_configuration=configuration)
        else:
            loader.load_kube_config(str(kubeconfig), client_configuration=configuration)
    except (config.ConfigException, YAMLError, OSError, *GARBAGE) as error:
        raise ConfigError(f"can't use the kubeconfig: {sentence(error)}{no_account}") from None
    configuration.retries = False
    configuration.keep_alive = True  # a watch on a peer that is gone ends within three minutes
    return ApiServer(configuration)


def parse_json(text: bytes) -> Any:
    """Read JSON without the objects' `managedFields`."""
    return json.loads(text, object_hook=_without_managed_fields)


def _without_managed_fields(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("managedFields"), list):  # and no label of that name
        del found["managedFields"]
    return found


def no_api_server(host: str) -> KubeError:
    """Return the error of an answer that no API server gives."""
    return KubeError(f"{host} did not answer like an API server")


def sentence(error: object) -> str:
    """Return an error's text on one line, which does not get long whatever the API server says."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."

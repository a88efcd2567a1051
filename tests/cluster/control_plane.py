"""etcd, API server, controller manager and scheduler, and kubectl for them. It runs enclosed."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.certificates import API_SERVER, API_SERVICE, FRONT_PROXY, make_certificates
from tests.cluster.programs import Program
from tests.waiting import NotYet, wait_for

Manifest = Mapping[str, Any]

_ETCD = "http://127.0.0.1:2379"
_START_S = 60.0
_KUBECTL_S = 60.0


@dataclass(frozen=True, slots=True)
class Extras:
    """What a control plane can do beyond what pods on a node need.

    Attributes:
        aggregates: Whether other servers can answer for a part of the API, as prometheus-adapter does.
    """

    aggregates: bool = False
    api_server_flags: tuple[str, ...] = ()
    controller_flags: tuple[str, ...] = ()


class ControlPlane:
    """A cluster without nodes, from `with` on; all its files lie in one folder."""

    def __init__(self, tools: Mapping[str, Path], folder: Path, extras: Extras = Extras()) -> None:
        self.certificates = folder / "pki"
        self.logs = folder / "log"
        self._tools = tools
        self._folder = folder
        self._extras = extras
        self._etcd = self.program("etcd", *self._etcd_flags())
        self._api_server = self.program("kube-apiserver", *self._api_server_flags())
        self._controllers = self.program("kube-controller-manager", *self._controller_flags())
        self._scheduler = self.program("kube-scheduler", *self._client_flags("scheduler"), "--leader-elect=false")

    def program(self, name: str, *flags: str, variables: Mapping[str, str] | None = None) -> Program:
        """Return one of the tools as a program that is yet to be started; its log is here, too."""
        return Program([self._tools[name], *flags], self.logs / f"{name}.log", variables)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True)
        make_certificates(self.certificates)
        for command in (
            f"address add {API_SERVER}/32 dev lo",
            f"address add {API_SERVICE}/32 dev lo",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def kubectl(self, *arguments: str, manifests: Sequence[Manifest] | None = None) -> str:
        """Return what kubectl prints as administrator; manifests are given to it as a file.

        Raises:
            RuntimeError: kubectl failed; the text is what it said.
        """
        where = (
            "--kubeconfig",
            str(self.certificates / "admin.kubeconfig"),
            "--cache-dir",
            str(self._folder / "kubectl"),
        )
        given = None
        if manifests is not None:
            given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
            arguments = (*arguments, "--filename=-")
        done = subprocess.run(
            [self._tools["kubectl"], *where, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=_KUBECTL_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` knows, as parsed JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def wait_for_service_account(self, namespace: str) -> None:
        """Wait until a namespace has its service account `default`, some seconds: pods are refused before."""

        def look() -> None:
            self.must_run()
            try:
                self.kubectl("get", "serviceaccount", "default", "-n", namespace)
            except RuntimeError as error:
                raise NotYet(str(error)) from None

        wait_for(f"the service account of namespace {namespace}", look, _START_S)

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Kill the API server, and start it again afterwards; the others wait for it.

        But for the scheduler, which goes and comes with it: a broken watch can spoil its cache, and then it ends.
        """
        for program in (self._scheduler, self._api_server):
            program.kill()
        try:
            yield
        finally:
            self._start_api_server()
            self._scheduler.start()

    def must_run(self) -> None:
        """Raise ProgramEnded where one of the programs has ended."""
        for program in self._programs:
            program.must_run()

    @property
    def _programs(self) -> tuple[Program, ...]:
        return (self._scheduler, self._controllers, self._api_server, self._etcd)

    def _start(self) -> None:
        self._etcd.start()
        self._start_api_server()
        # Only now: they give up where their own roles are not there yet.
        self._controllers.start()
        self._scheduler.start()

    def _start_api_server(self) -> None:
        self._api_server.start()
        wait_for("the API server's readiness", self._look_for_readiness, _START_S)

    def _kill(self) -> None:
        """End at once: nothing of the cluster is kept."""
        for program in self._programs:
            program.kill()

    def _look_for_readiness(self) -> None:
        self.must_run()
        trusted = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        try:
            with urllib.request.urlopen(f"https://{API_SERVER}/readyz", context=trusted, timeout=2) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise NotYet(f"{error.code} {error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise NotYet(str(error)) from None

    def _etcd_flags(self) -> tuple[str, ...]:
        return (
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _api_server_flags(self) -> tuple[str, ...]:
        pki = self.certificates
        return (
            f"--etcd-servers={_ETCD}",
            "--bind-address=0.0.0.0",
            "--secure-port=443",  # at the service's own address, so pods reach it without kube-proxy
            f"--advertise-address={API_SERVER}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/server.crt",
            f"--tls-private-key-file={pki}/server.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            *(self._aggregation_flags() if self._extras.aggregates else ()),
            *self._extras.api_server_flags,
        )

    def _aggregation_flags(self) -> tuple[str, ...]:
        pki = self.certificates
        return (
            "--enable-aggregator-routing",  # to the pods' own addresses: there is no kube-proxy
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki}/front-proxy.crt",
            f"--proxy-client-key-file={pki}/front-proxy.key",
        )

    def _controller_flags(self) -> tuple[str, ...]:
        return (
            *self._client_flags("controller-manager"),
            f"--service-account-private-key-file={self.certificates}/sa.key",
            f"--root-ca-file={self.certificates}/ca.crt",
            "--use-service-account-credentials",
            f"--flex-volume-plugin-dir={self._folder / 'volume-plugins'}",
            "--leader-elect=false",
            *self._extras.controller_flags,
        )

    def _client_flags(self, name: str) -> tuple[str, ...]:
        flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return tuple(f"--{flag}={self.certificates}/{name}.kubeconfig" for flag in flags)

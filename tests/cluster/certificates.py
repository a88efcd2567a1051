"""Keys, certificates and kubeconfigs of a cluster that lives for minutes, made with openssl."""

import subprocess
from pathlib import Path

API_SERVER = "10.77.0.1"
API_SERVICE = "10.96.0.1"
NODE_NAME = "node0"
FRONT_PROXY = "front-proxy"

_SERVING_NAMES = (
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    f"IP:127.0.0.1,IP:{API_SERVER},IP:{API_SERVICE}"
)
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE_NAME}",
    "apiserver-kubelet": "/O=system:masters/CN=apiserver-kubelet",
}
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = "2"

_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://{server}", certificate-authority: {folder}/ca.crt}}}}]
users: [{{name: me, user: {{client-certificate: {folder}/{name}.crt, client-key: {folder}/{name}.key}}}}]
contexts: [{{name: test, context: {{cluster: test, user: me}}}}]
current-context: test
"""


def make_certificates(folder: Path) -> None:
    """Fill a folder: ca.crt, server.crt and .key, sa.key and .pub, and for each client .crt, .key and .kubeconfig.

    front-proxy.crt and .key, of an authority of their own, are what the API server shows to aggregated APIs.
    """
    folder.mkdir(parents=True)
    _make_authority(folder, "ca")
    sign(folder, "server", "/CN=server", f"extendedKeyUsage=serverAuth\nsubjectAltName={_SERVING_NAMES}")
    _make_authority(folder, "front-proxy-ca")
    sign(folder, "front-proxy", f"/CN={FRONT_PROXY}", "extendedKeyUsage=clientAuth", authority="front-proxy-ca")
    for name, subject in _CLIENTS.items():
        sign(folder, name, subject, "extendedKeyUsage=clientAuth")
        text = _KUBECONFIG.format(server=API_SERVER, folder=folder, name=name)
        (folder / f"{name}.kubeconfig").write_text(text)
    _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    _openssl(folder, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def sign(folder: Path, name: str, subject: str, extensions: str, authority: str = "ca") -> None:
    """Make a key and a certificate, NAME.key and NAME.crt, beside the authority that signs it."""
    key, request, certificate = f"{name}.key", f"{name}.csr", f"{name}.crt"
    (folder / f"{name}.ext").write_text(f"keyUsage=critical,digitalSignature\n{extensions}\n")
    _openssl(folder, "req", *_NEW_KEY, "-subj", subject, "-keyout", key, "-out", request)
    signer = ("-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", _DAYS)
    _openssl(folder, "x509", "-req", "-in", request, *signer, "-extfile", f"{name}.ext", "-out", certificate)


def _make_authority(folder: Path, name: str) -> None:
    uses = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    _openssl(folder, "req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", f"/CN={name}", *files, *uses)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr}")
